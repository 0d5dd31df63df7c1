/** What an ordinary user asks of Podman. */
import type { Script } from "./operation.ts";
import { FAULTS, MASKED_DIRECTORIES, PODMAN_CREATE, PODMAN_EXEC, says, WORDS } from "./reasons.ts";

const NO_CGROUP = "on a host with cgroup v1 a user's containers have no cgroups of their own";

export const operations: readonly Script[] = [
  { name: "run", script: "podman run --rm --network none box echo hello" },
  { name: "run: exit code", script: "podman run --rm --network none box sh -c 'exit 7'", exit: 7 },
  { name: "run: input and output", script: "echo typed | podman run -i --rm --network none box cat" },
  {
    name: "run: ids",
    script:
      'podman run --rm --network none box sh -c \'for f in uid_map gid_map; do tr -s " " < /proc/self/$f | cut -d" " -f2,4; done; id; cat /proc/self/setgroups\'',
  },
  {
    name: "run: another user, and groups",
    script:
      "podman run --rm --network none -u 1000 --group-add 7 box sh -c 'id; touch /tmp/x; stat -c %u:%g /tmp/x'",
  },
  {
    name: "run --userns keep-id",
    script: `podman run --rm --network none --userns keep-id box sh -c 'id -u' | sed "s/^$(id -u $ACCOUNT)$/its own/"`,
  },
  {
    name: "run: the user's own files",
    script: `mkdir home/v; chown $ACCOUNT: home/v; podman run --rm --network none -v "$DIR/home/v:/v" box sh -c 'echo made > /v/file; stat -c %u /v/file'; stat -c %U home/v/file | sed "s/^$ACCOUNT$/its own/"; cat home/v/file`,
    tidy: "rm -rf home/v",
  },
  {
    name: "run: no file of another user's",
    script: `echo quiet > secret; chmod 600 secret; podman run --rm --network none -v "$DIR/secret:/secret" box sh -c 'cat /secret 2>&1'`,
    exit: 1,
    tidy: "rm -f secret",
  },
  {
    name: "run: a program that is not there",
    script: "podman run --rm --network none box nope",
    exit: 127,
    improves: [says(PODMAN_CREATE, FAULTS.noCommand)],
  },
  {
    name: "run: a file that cannot be executed",
    script: "podman run --rm --network none box /etc/passwd",
    exit: 126,
    improves: [says(PODMAN_CREATE, FAULTS.notExecutable)],
  },
  {
    name: "run -it",
    script:
      "on_terminal podman run -it --rm --network none box sh -c 'tty; test -t 2 && echo terminal; ls -l /dev/console | cut -c1-10; exit 9'",
    exit: 9,
  },
  {
    name: "run -d, logs, stop, rm",
    script: `podman run -d --name c --network none box sh -c 'trap "echo bye; exit 3" TERM; echo ready; while :; do sleep 0.05; done' >/dev/null
shows ready podman logs c; podman stop -t 10 c; podman logs c; podman inspect --format '{{.State.Status}} {{.State.ExitCode}}' c; podman rm c; podman ps -aq`,
  },
  {
    name: "stop: killed after the time; restart; kill",
    script: `podman run -d --name c --network none box sh -c 'trap "" TERM; while :; do sleep 0.05; done' >/dev/null
podman stop -t 1 c 2>/dev/null; podman inspect --format '{{.State.ExitCode}}' c; podman start c; podman restart -t 0 c; podman kill c; podman wait c`,
  },
  {
    name: "exec",
    script: `podman run -d --name c --network none box sleep 1000 >/dev/null
podman exec c echo hello; code podman exec c sh -c 'exit 5'; echo typed | podman exec -i c cat
podman exec -u 1000 -e A=b -w /tmp c sh -c 'id; echo $A; pwd'
podman exec c sh -c 'grep -E "^(Cap|NoNewPrivs|Seccomp)" /proc/self/status'
podman exec -d c sh -c 'echo done > /tmp/mark' >/dev/null; until_ podman exec c cat /tmp/mark; podman exec c cat /tmp/mark`,
  },
  {
    name: "exec: errors",
    script: `podman run -d --name c --network none box sleep 1000 >/dev/null
code podman exec c nope; code podman exec c /etc/passwd; code podman exec -w /nope c true`,
    improves: [FAULTS.noCommand, FAULTS.notExecutable, FAULTS.noDirectory].map((fault) =>
      says(PODMAN_EXEC, fault),
    ),
  },
  {
    name: "exec -it",
    script: `podman run -d --name c --network none box sleep 1000 >/dev/null
on_terminal podman exec -it c sh -c 'tty; test -t 2 && echo terminal; exit 4'`,
    exit: 4,
  },
  {
    name: "limits: Podman leaves them out",
    script: "podman run --rm --network none --memory 64m --pids-limit 50 --cpus .5 box echo hello",
  },
  {
    name: "cgroups: where its user is",
    script: `podman run --rm --network none --cgroupns host box cat /proc/self/cgroup > seen; diff seen /proc/self/cgroup && echo same`,
    tidy: "rm -f seen",
  },
  {
    name: "update",
    script:
      "podman run -d --name c --network none box sleep 1000 >/dev/null; podman container update --memory 100m c",
    exit: 125,
    failsHere: NO_CGROUP,
    improves: [
      {
        part: "stderr",
        runc: `time="TIME" level=warning msg="Setting back cgroup configs failed due to error: cannot set memory limit: container could not join or create cgroup, your state.json and actual configs might be inconsistent."
time="TIME" level=error msg="cannot set memory limit: container could not join or create cgroup"`,
        berth: `RUNTIME: container "ID64" has no cgroup, and so no limits that could be changed`,
        reason: WORDS,
      },
    ],
  },
  {
    name: "pause",
    script: "podman run -d --name c --network none box sleep 1000 >/dev/null; podman pause c",
    exit: 125,
    failsHere: NO_CGROUP,
  },
  {
    name: "stats",
    script: "podman run -d --name c --network none box sleep 1000 >/dev/null; podman stats --no-stream c",
    exit: 125,
    failsHere: NO_CGROUP,
  },
  {
    name: "top",
    script: `podman run -d --name c --network none box sleep 1000 >/dev/null; shows sleep podman top c comm; podman top c user,args`,
  },
  {
    name: "mounts of the default container",
    script: 'podman run --rm --network none box sh -c "$MOUNTS"',
  },
  {
    name: "what masks paths",
    script: 'podman run --rm --network none box sh -c "$MASKS"',
    improves: [MASKED_DIRECTORIES],
  },
  {
    name: "devices",
    script:
      "podman run --rm --network none --device /dev/fuse box sh -c 'exec 2>&1; ls /dev | sort; ls -l /dev/null /dev/fuse | cut -c1-10; echo x > /dev/null && echo written; mknod /tmp/k c 1 3'",
    exit: 1,
  },
  {
    name: "read-only, tmpfs, shared memory",
    script:
      "podman run --rm --network none --read-only --tmpfs /t:size=1m --shm-size 2m box sh -c 'exec 2>&1; touch /x; touch /t/y && echo made; df /t /dev/shm | tail -n2'",
  },
  {
    name: "capabilities, no new privileges, seccomp",
    script: `podman run --rm --network none --cap-drop all --cap-add net_raw --security-opt no-new-privileges box grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status
podman run --rm --network none --security-opt seccomp=unconfined box grep Seccomp: /proc/self/status`,
  },
  {
    name: "privileged",
    script:
      "podman run --rm --network none --privileged box sh -c 'grep -E \"^(CapEff|Seccomp):\" /proc/self/status; mount -t tmpfs t /mnt && echo mounted'",
  },
  {
    name: "hostname, sysctl, ulimit, OOM score",
    script:
      "podman run --rm --network none --hostname h --sysctl net.ipv4.ip_forward=1 --ulimit nofile=512:600 --oom-score-adj 500 box sh -c 'hostname; cat /proc/sys/net/ipv4/ip_forward; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj'",
  },
  {
    name: "namespaces of the host",
    script:
      "podman run --rm --network host --pid host --uts host box sh -c 'for n in net pid uts; do readlink /proc/self/ns/$n; done'",
  },
  {
    name: "the ipc namespace of the host",
    script: "podman run --rm --network none --ipc host box true",
    exit: 125,
    failsHere: "this host has no /dev/mqueue, which Podman then shows the container",
  },
  {
    name: "namespaces of another container",
    script: `podman run -d --name c --network none --hostname h --ipc shareable box sleep 1000 >/dev/null
podman run --rm --network container:c --pid container:c --ipc container:c --uts container:c box sh -c 'ps -o comm | grep sleep; hostname'`,
  },
  {
    name: "pods",
    script: `podman pod create --name p --network none --infra-command '/bin/sleep 100000' --infra-image box --hostname podded >/dev/null
podman run -d --name a --pod p box sleep 1000 >/dev/null; podman run -d --name b --pod p box sleep 1000 >/dev/null
podman exec b hostname; for n in net ipc uts; do test "$(podman exec a readlink /proc/self/ns/$n)" = "$(podman exec b readlink /proc/self/ns/$n)" && echo same $n; done
podman pod stop -t 0 p >/dev/null; podman pod rm -f -t 0 p >/dev/null; podman ps -aq`,
  },
  {
    name: "build",
    script: `printf 'FROM localhost/box\\nENV A=b\\nRUN echo built > /built && id -u\\nUSER 1000\\nRUN id -u; test ! -w /etc\\nCMD ["cat","/built"]\\n' | podman build -q --network none --pull=never -t localhost/made - >/dev/null; podman run --rm --network none localhost/made`,
    tidy: "podman rmi -f localhost/made",
  },
  {
    name: "healthcheck",
    script: `podman run -d --name c --network none --health-cmd 'test -e /tmp/fit' box sleep 1000 >/dev/null 2>&1
code podman healthcheck run c; podman exec c touch /tmp/fit; code podman healthcheck run c`,
  },
];
