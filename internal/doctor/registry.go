package doctor

// All returns every check, causes before what they explain.
func All() []Check {
	return []Check{
		// What has to be there to look at anything.
		configCheck(),
		stateDirCheck(),
		reachCheck(),
		poolerCheck(),
		databaseCheck(),
		standbyCheck(),
		readOnlyCheck(),
		privilegesCheck(),
		searchPathCheck(),
		rowsCheck(),
		pipelineCheck(),
		memoryCheck(),
		incarnationCheck(),
		// The pipeline itself.
		constraintCheck(),
		triggersCheck(),
		subscriptionCheck(),
		fingerprintsCheck(),
		engineCheck(),
		activityCheck(),
		clockCheck(),
		// What keeps it from being rolled up.
		lockCheck(),
		watermarkFutureCheck(),
		transactionsCheck(),
		lastErrorCheck(),
		pgcronPreloadCheck(),
		pgcronDatabaseCheck(),
		pgcronJobCheck(),
		timerCheck(),
		serviceCheck(),
		schedulerCheck(),
		duplicatesCheck(),
		// What has not been rolled up, or wrongly.
		guardCheck(),
		backfillCheck(),
		watermarkEpochCheck(),
		watermarkBehindCheck(),
		emptyCheck(),
		queueCheck(),
		givenUpCheck(),
		watermarkMovedCheck(),
		debtsCheck(),
		costsCheck(),
		orphansCheck(),
		driftCheck(),
		provenCheck(),
	}
}

// stalls are causes that keep everything from being rolled up.
var stalls = []string{
	"standby", "read-only", "constraint", "lock", "transactions", "last-error", "timer", "scheduler", "service",
	"pgcron-preload", "pgcron-database", "pgcron-job",
}
