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
		privilegesCheck(),
		searchPathCheck(),
		pipelineCheck(),
		memoryCheck(),
		// The pipeline itself.
		constraintCheck(),
		triggersCheck(),
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
		lagCheck(),
		emptyCheck(),
		queueCheck(),
		givenUpCheck(),
		movedCheck(),
		debtsCheck(),
		costsCheck(),
		orphansCheck(),
		driftCheck(),
	}
}
