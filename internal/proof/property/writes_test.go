package property_test

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// The changes choose their rows by the md5 of id and a salt: at random, the same again for the same seed.

var changes = []struct {
	name   string
	weight int
	sql    string // $1 salt, $2 time or NULL, $3 how many rows
	gens   []lab.Generation
	moves  bool // usage to other keys, unseen by updated_at
}{
	{"correct", 12, `update task_usage set input_tokens = (random() * 1000)::int, output_tokens = output_tokens + 1, updated_at = coalesce($2, now())
		where id in (select id from task_usage order by md5(id || $1) limit $3)`, nil, false},
	{"batch", 2, `update task_usage set cache_read_tokens = cache_read_tokens + 1, updated_at = coalesce($2, now())
		where id in (select id from task_usage order by md5(id || $1) limit $3 * 20)`, nil, false},
	{"forget updated_at", 1, `update task_usage set updated_at = null where updated_at = created_at and created_at = coalesce($2, now()) and $1 <> '' and $3 > 0`, nil, false},
	{"move runtime", 5, `update agent_task_queue q set runtime_id = (select r.id from agent_runtime r join agent a on a.id = q.agent_id
		where r.workspace_id = a.workspace_id order by md5(r.id || $1 || q.id) limit 1)
		where id in (select id from agent_task_queue where runtime_id is not null order by md5(id || $1) limit $3) and ($2::timestamptz is null or true)`, nil, true},
	{"move issue", 5, `update agent_task_queue q set issue_id = (select s.id from issue s join agent a on a.id = q.agent_id
		where s.workspace_id = a.workspace_id and md5(s.id || $1 || q.id) > '3' order by md5(s.id || $1 || q.id) limit 1)
		where id in (select id from agent_task_queue order by md5(id || $1) limit $3) and ($2::timestamptz is null or true)`, nil, true},
	{"move project", 4, `update issue s set project_id = (select p.id from project p
		where p.workspace_id = s.workspace_id and md5(p.id || $1 || s.id) > '5' order by md5(p.id || $1 || s.id) limit 1)
		where id in (select id from issue order by md5(id || $1) limit $3) and ($2::timestamptz is null or true)`, nil, true},
	{"delete usage", 4, `delete from task_usage where id in (select id from task_usage order by md5(id || $1) limit $3) and ($2::timestamptz is null or true)`, nil, false},
	{"delete task", 3, `delete from agent_task_queue where id in (select id from agent_task_queue order by md5(id || $1) limit $3) and ($2::timestamptz is null or true)`, nil, false},
	{"delete issue", 2, `delete from issue where id in (select id from issue order by md5(id || $1) limit $3) and ($2::timestamptz is null or true)`, nil, false},
	{"delete project", 1, `delete from project where id in (select id from project order by md5(id || $1) limit $3) and ($2::timestamptz is null or true)`, nil, true},
	{"price", 4, `update task_usage set cost_usd_ticks = case when md5(id || $1) > '4' then (random() * 1e10)::bigint end, updated_at = coalesce($2, now())
		where id in (select id from task_usage order by md5(id || $1) limit $3)`, []lab.Generation{lab.Gen213, lab.Gen272}, false},
}

// write makes one change of the ordinary kind.
func (w *world) write(q execer) bool {
	total := 30 // of new tasks
	for _, c := range changes {
		total += c.weight
	}
	n := w.rng.IntN(total) - 30
	if w.restless {
		n = w.rng.IntN(30)
	} else if n < 0 {
		return w.addTasks(q)
	}
	for _, c := range changes {
		if n -= c.weight; n >= 0 || (w.restless && !c.moves) {
			continue
		}
		if (c.gens != nil && !contains(c.gens, w.gen)) || (c.moves && w.staid) {
			return w.addTasks(q)
		}
		// A move that sees not all of what is moved, or that is not seen by all: the database's function misses it.
		if c.moves && len(w.open)+len(w.prepared) > 0 && !w.ours {
			w.needsVerify = w.needsVerify || w.moving || q != execer(w.conn)
		}
		rows := 1 + w.rng.IntN(4)
		w.logf("  %s (%d)", c.name, rows)
		return w.try(q, c.sql, w.uuid(), w.at(), rows)
	}
	return true
}

// addTasks writes some tasks with usage, all at one time.
func (w *world) addTasks(q execer) bool {
	count := 1 + w.rng.IntN(3)
	w.logf("  %d new tasks", count)
	if w.moving && !w.ours {
		w.needsVerify = true
	}
	for range count {
		id, salt := w.uuid(), w.uuid()
		if !w.try(q, `insert into agent_task_queue (id, agent_id, issue_id, runtime_id, status, completed_at)
			select $1::uuid, a.id, (select s.id from issue s where s.workspace_id = a.workspace_id and md5(s.id || $2) > '3' order by md5(s.id || $2) limit 1),
			       r.id, 'completed', now()
			from (select * from agent order by md5(id || $2) limit 1) a
			join lateral (select id from agent_runtime where workspace_id = a.workspace_id order by md5(id || $2) limit 1) r on true`, id, salt) {
			return false
		}
		for n := range 1 + w.rng.IntN(3) {
			// created_at without updated_at is what rows from before migration 072 look like.
			if !w.try(q, `insert into task_usage (id, task_id, provider, model, input_tokens, output_tokens, cache_write_tokens, created_at, updated_at)
				select $1::uuid, q.id, $3, $4, $5, 1, 2, coalesce($6, now()), case when $7 then null else coalesce($6, now()) end from agent_task_queue q where q.id = $2::uuid`,
				w.uuid(), id, pick(w.rng, []string{"", "anthropic", "openai"}), pick(w.rng, []string{"a", "b"})+string(rune('0'+n)), w.rng.IntN(5000), w.at(), w.chance(0.15)) {
				return false
			}
		}
	}
	return true
}

// addWorkspace makes a workspace with agents, runtimes, projects and issues.
func (w *world) addWorkspace(q execer) {
	id := w.uuid()
	w.exec(q, "insert into workspace (id, name, slug) values ($1::uuid, $1::text, $1::text)", id)
	for range 1 + w.rng.IntN(3) {
		w.exec(q, "insert into agent (id, workspace_id, name) values ($1::uuid, $2::uuid, 'agent')", w.uuid(), id)
		w.exec(q, "insert into agent_runtime (id, workspace_id, name) values ($1::uuid, $2::uuid, 'runtime')", w.uuid(), id)
		project := w.uuid()
		w.exec(q, "insert into project (id, workspace_id, title) values ($1::uuid, $2::uuid, 'project')", project, id)
		w.exec(q, "insert into issue (id, workspace_id, project_id, title) values ($1::uuid, $3::uuid, $4::uuid, 'in it'), ($2::uuid, $3::uuid, null, 'in none')", w.uuid(), w.uuid(), id, project)
	}
}

// teardown deletes a workspace as the app does, and founds another.
func (w *world) teardown() {
	w.logf("  workspace torn down")
	id := get[string](w, "select id::text from workspace order by md5(id || $1) limit 1", w.uuid())
	err := pgx.BeginFunc(context.Background(), w.conn, func(tx pgx.Tx) error {
		for _, sql := range []string{
			"set local multica.workspace_teardown = 'on'",
			"select pg_advisory_xact_lock(4246)",
			"delete from task_usage_hourly where workspace_id = '" + id + "'",
			"delete from task_usage_hourly_dirty where workspace_id = '" + id + "'",
			"delete from workspace where id = '" + id + "'",
		} {
			if _, err := tx.Exec(context.Background(), sql); err != nil {
				return err
			}
		}
		return nil
	})
	if w.survived("tearing a workspace down", err) {
		w.addWorkspace(w.conn)
	}
}

// deleteRuntime deletes a runtime; its tasks go with it, or lose it.
func (w *world) deleteRuntime() {
	w.logf("  runtime deleted")
	if w.try(w.conn, "delete from agent_runtime where id in (select id from agent_runtime order by md5(id || $1) limit 1)", w.uuid()) {
		w.exec(w.conn, "insert into agent_runtime (id, workspace_id, name) select $1::uuid, id, 'another' from workspace order by id limit 1", w.uuid())
	}
}

// deleteAgent deletes an agent with its usage: the triggers miss it, a recount does not.
func (w *world) deleteAgent() {
	w.logf("  agent deleted")
	if w.try(w.conn, "delete from agent where id in (select id from agent order by md5(id || $1) limit 1)", w.uuid()) {
		w.needsVerify = true
		w.exec(w.conn, "insert into agent (id, workspace_id, name) select $1::uuid, id, 'another' from workspace order by id limit 1", w.uuid())
	}
}

func contains[T comparable](list []T, v T) bool {
	for _, l := range list {
		if l == v {
			return true
		}
	}
	return false
}
