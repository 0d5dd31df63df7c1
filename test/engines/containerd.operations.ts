/** What ctr is asked to do. */
import type { Script } from "./operation.ts";
import { FAULTS, MASKED, NO_CHECKPOINT, SHIM_CREATE, SHIM_EXEC, says } from "./reasons.ts";

export const operations: readonly Script[] = [
  { name: "run", script: "ctr run --rm --runc-binary $RUNTIME $BOX c echo hello" },
  { name: "run: exit code", script: "ctr run --rm --runc-binary $RUNTIME $BOX c sh -c 'exit 7'", exit: 7 },
  {
    name: "run: stdout and stderr apart",
    script: "ctr run --rm --runc-binary $RUNTIME $BOX c sh -c 'echo out; echo err >&2'",
  },
  {
    name: "run: a line of input",
    script: "echo typed | ctr run --rm --runc-binary $RUNTIME $BOX c head -n1",
  },
  {
    name: "run: a program that is not there",
    script: "ctr run --rm --runc-binary $RUNTIME $BOX c nope",
    exit: 1,
    improves: [says(SHIM_CREATE, FAULTS.noCommand)],
  },
  {
    name: "run: a file that cannot be executed",
    script: "ctr run --rm --runc-binary $RUNTIME $BOX c /etc/passwd",
    exit: 1,
    improves: [says(SHIM_CREATE, FAULTS.notExecutable)],
  },
  {
    name: "run: the runtime found as runc in PATH",
    script: "ctr run --rm $BOX c grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status",
  },
  {
    name: "run --no-pivot",
    script: "ctr run --rm --no-pivot $BOX c sh -c 'ls /; test -e /host && echo escaped; true'",
  },
  {
    name: "run -t",
    script:
      "on_terminal ctr run -t --rm --runc-binary $RUNTIME $BOX c sh -c 'tty; test -t 2 && echo terminal'",
  },
  {
    name: "run: environment, working directory, read-only",
    script: `ctr run --rm --env A=b --cwd /tmp --read-only --runc-binary $RUNTIME $BOX c sh -c '
exec 2>&1; env | grep -v HOSTNAME | sort; pwd; touch /tmp/x'`,
    exit: 1,
  },
  {
    name: "run: mounts",
    script: `mkdir -p m; echo seen > m/f
ctr run --rm --mount type=bind,src=$DIR/m,dst=/m,options=rbind:ro --runc-binary $RUNTIME $BOX c sh -c "cat /m/f; touch /m/x 2>&1; $MOUNTS"`,
    tidy: "rm -rf m",
  },
  {
    name: "run: what masks paths",
    script: 'ctr run --rm --runc-binary $RUNTIME $BOX c sh -c "$MASKS"',
    improves: MASKED,
  },
  {
    name: "run: limits",
    script: `ctr run -d --memory-limit 67108864 --cpus 0.5 --cpu-shares 512 --runc-binary $RUNTIME $BOX c sleep 1000
for f in memory.limit_in_bytes cpu.cfs_quota_us cpu.shares; do cat /sys/fs/cgroup/\${f%%.*}/$NAMESPACE/c/$f; done`,
  },
  {
    name: "run: cgroup",
    script:
      "ctr run --rm --runc-binary $RUNTIME $BOX c cat /proc/self/cgroup | sed 's/berth-engines-[a-z]*/NAMESPACE/'",
  },
  {
    name: "run: no cgroup path",
    // The runtime then takes the container's name for the cgroup's: both must not have the same.
    script: `ctr run --rm --cgroup "" --runc-binary $RUNTIME $BOX c-$NAMESPACE echo hello`,
  },
  {
    name: "run --privileged",
    script:
      "ctr run --rm --privileged --runc-binary $RUNTIME $BOX c grep -E '^(CapEff|Seccomp):' /proc/self/status",
  },
  {
    name: "run --seccomp",
    script:
      "ctr run --rm --seccomp --runc-binary $RUNTIME $BOX c sh -c 'exec 2>&1; grep Seccomp: /proc/self/status; unshare -U true'",
    exit: 1,
  },
  {
    name: "run --net-host",
    script: "ctr run --rm --net-host --runc-binary $RUNTIME $BOX c readlink /proc/self/ns/net",
  },
  {
    name: "run --device",
    script:
      "ctr run --rm --device /dev/fuse --runc-binary $RUNTIME $BOX c sh -c 'ls -l /dev/fuse | cut -c1-10; ls /dev | sort'",
  },
  {
    name: "run: a user namespace",
    script:
      "ctr run --rm --uidmap 0:100000:65536 --gidmap 0:100000:65536 $BOX c sh -c 'cat /proc/self/uid_map; id'",
  },
  { name: "run --null-io", script: "ctr run --rm --null-io --runc-binary $RUNTIME $BOX c echo hello" },
  {
    name: "run --pid-file",
    script: `ctr run -d --pid-file p --runc-binary $RUNTIME $BOX c sleep 1000; test "$(cat /proc/$(cat p)/comm)" = sleep && echo its init`,
    tidy: "rm -f p",
  },
  {
    name: "run -d, task ls, ps",
    script: `ctr run -d --runc-binary $RUNTIME $BOX c sleep 1000
ctr task ls | tr -s ' ' | sed 's/ [0-9]* / PID /'; ctr task ps c | wc -l`,
  },
  {
    name: "create, start, delete",
    script: `ctr c create $BOX c; ctr task start -d c; ctr task ls -q; ctr task kill -s KILL c; until_ ctr task rm c; code ctr c rm c`,
  },
  {
    name: "exec",
    script: `ctr run -d --runc-binary $RUNTIME $BOX c sleep 1000
ctr task exec --exec-id e1 c echo hello
code ctr task exec --exec-id e2 c sh -c 'exit 5'
ctr task exec --exec-id e3 --user 1000 --cwd /tmp c sh -c 'id; pwd'
ctr task exec --exec-id e4 c grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status
echo typed | ctr task exec --exec-id e5 c head -n1`,
  },
  {
    name: "exec: errors",
    script: `ctr run -d --runc-binary $RUNTIME $BOX c sleep 1000
code ctr task exec --exec-id e1 c nope; code ctr task exec --exec-id e2 c /etc/passwd; code ctr task exec --exec-id e3 --cwd /nope c true`,
    improves: [FAULTS.noCommand, FAULTS.notExecutable, FAULTS.noDirectory].map((fault) =>
      says(SHIM_EXEC, fault),
    ),
  },
  {
    name: "exec -t",
    script: `ctr run -d --runc-binary $RUNTIME $BOX c sleep 1000
on_terminal ctr task exec -t --exec-id e c sh -c 'tty; test -t 2 && echo terminal'`,
  },
  {
    name: "exec -d, kill --exec-id",
    script: `ctr run -d --runc-binary $RUNTIME $BOX c sleep 1000
ctr task exec -d --exec-id e c sleep 777; shows 777 ctr task exec --exec-id f c ps -o args
ctr task kill -s KILL --exec-id e c; gone() { ! ctr task exec --exec-id g$RANDOM c ps -o args | grep -q '[s]leep 777'; }; until_ gone && echo ended`,
  },
  {
    name: "kill",
    script: `ctr run -d --runc-binary $RUNTIME $BOX c sleep 1000
ctr task kill -s KILL c; shows STOPPED ctr task ls; code ctr task kill -s KILL c; code ctr task rm c; ctr c rm c`,
  },
  {
    name: "kill -a, of a container without a pid namespace",
    script: `ctr run -d --config without-pid-namespace.json --runc-binary $RUNTIME c
members() { wc -l < /sys/fs/cgroup/pids/$NAMESPACE/c/cgroup.procs; }; shows 3 members
ctr task kill -a -s KILL c; shows STOPPED ctr task ls; ctr task rm c 2>/dev/null; ls -d /sys/fs/cgroup/*/$NAMESPACE/c | wc -l`,
  },
  {
    name: "pause, resume",
    script: `ctr run -d --runc-binary $RUNTIME $BOX c sleep 1000
ctr task pause c; ctr task ls | tr -s ' ' | sed 's/ [0-9]* / PID /'; code ctr task exec --exec-id e1 c true; ctr task resume c; ctr task ls | tr -s ' ' | sed 's/ [0-9]* / PID /'
ctr task exec --exec-id e2 c echo hello; ctr task pause c; ctr task rm -f c; ctr c rm c`,
  },
  {
    name: "metrics",
    script: `ctr run -d --memory-limit 67108864 --runc-binary $RUNTIME $BOX c sleep 1000
ctr task metrics c | grep -E 'memory.limit|pids.current|pids.limit' | tr -s ' '`,
  },
  {
    name: "checkpoint",
    script: `ctr run -d --runc-binary $RUNTIME $BOX c sleep 1000; ctr task checkpoint c`,
    exit: 1,
    failsHere: "criu is not installed",
    improves: [
      {
        part: "stderr",
        runc: `exit status 1: CRIU version check failed: exec: "criu": executable file not found in $PATH path`,
        berth: `exit status 3: RUNTIME: unknown command "checkpoint" path`,
        reason: NO_CHECKPOINT,
      },
    ],
  },
  {
    name: "rm of a running task",
    script: `ctr run -d --runc-binary $RUNTIME $BOX c sleep 1000; code ctr task rm c; code ctr c rm c; ctr task rm -f c; ctr c rm c; ctr c ls -q`,
  },
];
