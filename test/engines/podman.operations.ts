/** What Podman is asked to do. Networks are left out: a bridge needs the kernel's iptables and a namespace to itself. */
import type { Script } from "./operation.ts";
import {
  FAULTS,
  MASKED,
  PERSONALITY,
  PODMAN_CREATE,
  PODMAN_EXEC,
  POSTSTART,
  SHIM_CREATE,
  says,
} from "./reasons.ts";

/** With the runtime's path in each line; elsewhere containers.conf has it. */
const BY_PATH = `
podman --runtime $RUNTIME run --rm --network none box echo hello
podman --runtime $RUNTIME run -d --name c --network none --memory 64m --pids-limit 50 box sleep 1000
podman --runtime $RUNTIME exec c echo hello
podman --runtime $RUNTIME container update --memory 100m --cpus 0.5 c
podman exec c cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max
podman --runtime $RUNTIME play kube --network none kube.yaml`;

export const operations: readonly Script[] = [
  {
    name: "the runtime by its path",
    script: `cat > kube.yaml <<END
apiVersion: v1
kind: Pod
metadata: {name: k}
spec:
  containers:
  - {name: a, image: localhost/box, imagePullPolicy: Never, command: [sleep, "1000"]}
END${BY_PATH}; podman exec k-a echo in a pod`,
    tidy: "podman play kube --down kube.yaml; rm -f kube.yaml",
  },
  {
    name: "the runtime under the name runc",
    // Podman then takes it for runc, and reads its errors from a log in JSON.
    script: `podman --runtime "$DIR/bin/runc" run -d --name c --network none box sleep 1000 >/dev/null
podman --runtime "$DIR/bin/runc" exec c echo hello; podman --runtime "$DIR/bin/runc" pause c; podman --runtime "$DIR/bin/runc" unpause c
podman --runtime "$DIR/bin/runc" rm -f -t 0 c
code podman --runtime "$DIR/bin/runc" run --rm --network none box nope`,
    improves: [says(SHIM_CREATE, FAULTS.noCommand)],
  },
  {
    name: "compose, by Docker's API",
    // podman-compose of Debian 12 is left out: it gives every container a bridge network, even with network_mode: none.
    script: `mkdir -p compose; cat > compose/docker-compose.yml <<END
version: "2.4"
services:
  a: {image: localhost/box, command: [sleep, "1000"], network_mode: none, mem_limit: 64m}
  b: {image: localhost/box, command: [sh, -c, "echo from b; exec sleep 1000"], network_mode: none, depends_on: [a]}
END
podman system service -t 0 unix://$DIR/podman.sock & until_ test -S podman.sock
cd compose; export DOCKER_HOST=unix://$DIR/podman.sock; docker-compose up -d 2>/dev/null; podman exec compose_a_1 echo in a; shows 'from b' podman logs compose_b_1
podman exec compose_a_1 cat /sys/fs/cgroup/memory/memory.limit_in_bytes; docker-compose stop -t 0 2>/dev/null; podman ps -a --format '{{.Names}} {{.State}}' | sed 's/ Exited.*/ exited/' | sort
docker-compose down -t 0 2>/dev/null; podman ps -aq; kill $!; wait`,
    tidy: "rm -rf compose podman.sock",
  },
  {
    name: "run: stdout and stderr apart",
    script: "podman run --rm --network none box sh -c 'echo out; echo err >&2'",
  },
  {
    name: "run: a program that is not there",
    script: "podman run --rm --network none box nope",
    exit: 127,
    improves: [says(PODMAN_CREATE, FAULTS.noCommand)],
  },
  {
    name: "run: a path that is not there",
    script: "podman run --rm --network none box /bin/nope",
    exit: 127,
    improves: [says(PODMAN_CREATE, FAULTS.noFile)],
  },
  {
    name: "run: a file that cannot be executed",
    script: "podman run --rm --network none box /etc/passwd",
    exit: 126,
    improves: [says(PODMAN_CREATE, FAULTS.notExecutable)],
  },
  {
    name: "run: a directory",
    script: "podman run --rm --network none box /etc",
    exit: 126,
    improves: [says(PODMAN_CREATE, FAULTS.isDirectory)],
  },
  {
    name: "run: a working directory that is not there",
    script: "podman run --rm --network none -w /made box pwd",
    exit: 126,
  },
  {
    name: "run: ended by a signal",
    script: "podman run --rm --network none --init box sh -c 'kill -9 $$'",
    exit: 137,
  },
  {
    name: "run: many lines",
    script: "podman run --rm --network none box seq 100000 | sha256sum",
  },
  {
    name: "run -it",
    script:
      "on_terminal podman run -it --rm --network none box sh -c 'tty; stty size; ls -l /dev/console /dev/fd | cut -c1-10'",
  },
  {
    name: "run -t: exit code",
    script: "on_terminal podman run -t --rm --network none box sh -c 'exit 9'",
    exit: 9,
  },
  {
    name: "run -d, logs, wait",
    script: `podman run -d --name c --network none box sh -c 'echo one; echo two >&2; exit 3'
podman wait c; podman logs c; podman inspect --format '{{.State.Status}} {{.State.ExitCode}}' c`,
  },
  {
    name: "create, start, attach",
    script: `podman create --name c --network none box sh -c 'echo started'; podman start -a c; podman start -a c; podman rm c`,
  },
  {
    name: "environment, working directory, user, hostname, labels",
    script: `podman run --rm --network none -e A=b -w /tmp -u 1000:5 --hostname h --label l=m box sh -c 'env | grep -v ^HOSTNAME | sort; pwd; id; hostname'`,
  },
  { name: "user by name", script: "podman run --rm --network none -u user box id" },
  { name: "groups", script: "podman run --rm --network none --group-add 7 --group-add wheel box id" },
  { name: "umask", script: "podman run --rm --network none --umask 0077 box sh -c umask" },
  { name: "entrypoint", script: `podman run --rm --network none --entrypoint '["echo","a"]' box b` },
  {
    name: "exec",
    script: `podman run -d --name c --network none box sleep 1000 >/dev/null
podman exec c echo hello
code podman exec c sh -c 'exit 5'
echo typed | podman exec -i c cat
podman exec -u 1000 -e A=b -w /tmp c sh -c 'id; echo $A; pwd'
podman exec -u user c id
podman exec c sh -c 'cat /proc/self/status | grep -E "^(Cap|NoNewPrivs|Seccomp)"'
podman exec c cat /proc/1/comm`,
  },
  {
    name: "exec: errors",
    script: `podman run -d --name c --network none box sleep 1000 >/dev/null
code podman exec c nope
code podman exec c /etc/passwd
code podman exec -w /nope c true
code podman exec -u nobody_at_all c true`,
    improves: [FAULTS.noCommand, FAULTS.notExecutable, FAULTS.noDirectory].map((fault) =>
      says(PODMAN_EXEC, fault),
    ),
  },
  {
    name: "exec -it",
    script: `podman run -d --name c --network none box sleep 1000 >/dev/null
on_terminal podman exec -it c sh -c 'tty; test -t 0 && test -t 1 && test -t 2 && echo terminal; exit 4'`,
    exit: 4,
  },
  {
    name: "exec -d",
    script: `podman run -d --name c --network none box sleep 1000 >/dev/null
podman exec -d c sh -c 'echo done > /tmp/mark' >/dev/null; until_ podman exec c cat /tmp/mark; podman exec c cat /tmp/mark`,
  },
  {
    name: "exec --privileged",
    script: `podman run -d --name c --network none box sleep 1000 >/dev/null
podman exec --privileged c grep ^CapEff /proc/self/status`,
  },
  {
    name: "top",
    script: `podman run -d --name c --network none box sh -c 'sleep 1000; true' >/dev/null
shows sleep podman top c comm
podman top c user,group,comm,args; podman top c -o comm`,
  },
  {
    name: "stats",
    script: `podman run -d --name c --network none --memory 64m box sleep 1000 >/dev/null
podman stats --no-stream --format '{{.Name}} {{.PIDs}}' c
podman stats --no-stream --format '{{.MemUsage}}' c | sed 's/^[^/]*//'`,
  },
  {
    name: "stop: the program ends itself",
    script: `podman run -d --name c --network none box sh -c 'trap "echo bye; exit 3" TERM; echo ready; while :; do sleep 0.05; done' >/dev/null
shows ready podman logs c
podman stop -t 10 c; podman logs c; podman inspect --format '{{.State.ExitCode}}' c`,
  },
  {
    name: "stop: killed after the time",
    script: `podman run -d --name c --network none box sh -c 'trap "" TERM; while :; do sleep 0.05; done' >/dev/null
podman stop -t 1 c 2>/dev/null; podman inspect --format '{{.State.Status}} {{.State.ExitCode}}' c`,
  },
  {
    name: "kill",
    script: `podman run -d --name c --network none box sh -c 'trap "echo hup" HUP; echo ready; while :; do sleep 0.05; done' >/dev/null
shows ready podman logs c; podman kill -s HUP c; shows hup podman logs c
podman kill c; podman wait c; code podman kill c`,
  },
  {
    name: "restart",
    script: `podman run -d --name c --network none box sh -c 'echo up; exec sleep 1000' >/dev/null
podman restart -t 0 c; shows "up
up" podman logs c; podman inspect --format '{{.State.Status}} {{.RestartCount}}' c`,
  },
  {
    name: "restart policy",
    script: `podman run -d --name c --restart on-failure:2 --network none box sh -c 'echo try; exit 1' >/dev/null
shows "try
try
try" podman logs c; until_ sh -c 'podman inspect --format "{{.State.Status}}" c | grep -q exited'; podman inspect --format '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}' c`,
  },
  {
    name: "pause, unpause",
    script: `podman run -d --name c --network none box sleep 1000 >/dev/null
podman pause c; podman inspect --format '{{.State.Status}}' c; code podman exec c true
podman unpause c; podman inspect --format '{{.State.Status}}' c; podman exec c echo hello
podman pause c; podman rm -f -t 0 c`,
  },
  {
    name: "update",
    script: `podman run -d --name c --network none --memory 64m --pids-limit 50 box sleep 1000 >/dev/null
podman container update --memory 100m --cpus 0.5 c
podman exec c sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/pids/pids.max'`,
  },
  {
    name: "limits",
    script: `podman run --rm --network none --memory 64m --memory-swap 128m --memory-reservation 32m --pids-limit 50 --cpus .5 --cpu-shares 512 --cpuset-cpus 0 box sh -c '
exec 2>&1; cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes memory/memory.soft_limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu/cpu.shares cpuset/cpuset.cpus'`,
  },
  {
    name: "limits: out of memory",
    script:
      "podman run --rm --network none --memory 16m box sh -c 'dd if=/dev/zero of=/dev/null bs=64M count=1' 2>/dev/null",
    exit: 137,
  },
  {
    name: "limits: the pids limit holds",
    script:
      "podman run --rm --network none --pids-limit 5 box sh -c 'exec 2>&1; for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait' | grep -c 'fork'",
    exit: 0,
  },
  {
    // Podman writes a limit of 0.
    name: "limits: no limit of processes",
    script:
      "podman run --rm --network none --pids-limit -1 box sh -c 'sleep 1 & sleep 1 & wait; cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max'",
    exit: 0,
  },
  {
    name: "limits: block I/O weight",
    script: "podman run --rm --network none --blkio-weight 300 box echo hello",
  },
  {
    name: "ulimits",
    script:
      "podman run --rm --network none --ulimit nofile=512:600 --ulimit nproc=100:200 --ulimit core=0:0 box sh -c 'ulimit -n; ulimit -Hn; ulimit -p; ulimit -c'",
  },
  {
    name: "ulimits above the hard limit",
    script: "podman run --rm --network none --ulimit nofile=2000000:2000000 box true",
    exit: 126,
    failsHere: "root lacks CAP_SYS_RESOURCE",
    improves: [says(PODMAN_CREATE, FAULTS.rlimit)],
  },
  {
    name: "read-only",
    script:
      "podman run --rm --network none --read-only box sh -c 'exec 2>&1; touch /x; touch /tmp/y && echo tmp; touch /run/z && echo run'",
  },
  {
    name: "tmpfs",
    script:
      "podman run --rm --network none --tmpfs /t:size=1m,mode=1700 box sh -c 'df /t | tail -n1; stat -c %a /t; grep /t /proc/mounts | grep ^tmpfs./t'",
  },
  { name: "shared memory", script: "podman run --rm --network none --shm-size 2m box df /dev/shm" },
  {
    name: "volumes",
    script: `mkdir -p v; echo seen > v/file
podman run --rm --network none -v "$DIR/v:/v:ro" box sh -c 'exec 2>&1; cat /v/file; touch /v/x; mount | grep " /v " | cut -d" " -f3-6'
podman run --rm --network none -v "$DIR/v:/v" -v "$DIR/v/file:/etc/deep/file" box sh -c 'echo made > /v/made; cat /etc/deep/file'; cat v/made
podman volume create vol; podman run --rm --network none -v vol:/etc box sh -c 'cat /etc/group | head -n1; echo kept > /etc/kept'
podman run --rm --network none -v vol:/w box cat /w/kept
podman run --rm --network none --mount type=bind,src="$DIR/v",dst=/v,bind-propagation=rslave box sh -c 'grep " /v " /proc/self/mountinfo | grep -c master:; true'`,
    tidy: "rm -rf v",
  },
  { name: "mounts of the default container", script: 'podman run --rm --network none box sh -c "$MOUNTS"' },
  {
    name: "what masks paths",
    script: 'podman run --rm --network none box sh -c "$MASKS"',
    improves: MASKED,
  },
  {
    name: "capabilities",
    script:
      "podman run --rm --network none --cap-drop all --cap-add chown,net_raw box grep ^Cap /proc/self/status",
  },
  {
    name: "no new privileges",
    script:
      "podman run --rm --network none --security-opt no-new-privileges -u 1000 box grep -E '^(Cap|NoNewPrivs)' /proc/self/status",
  },
  {
    name: "sysctl",
    script:
      "podman run --rm --network none --sysctl net.ipv4.ip_forward=1 --sysctl kernel.msgmax=4096 box cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax",
  },
  {
    name: "devices",
    script: `podman run --rm --network none --device /dev/fuse:/dev/f:r box sh -c 'ls -l /dev/f | cut -c1-10; ls /dev | sort'
podman run --rm --network none box sh -c 'exec 2>&1; mknod /tmp/k c 1 11 && head -c1 /tmp/k'
podman run --rm --network none --device-cgroup-rule 'c 1:11 rw' box sh -c 'mknod /tmp/k c 1 11 && echo made'`,
  },
  {
    name: "seccomp: the default profile",
    script:
      "podman run --rm --network none box sh -c 'exec 2>&1; grep Seccomp: /proc/self/status; unshare -U true; chmod 700 /tmp; date -s 2020-01-01 >/dev/null'",
  },
  {
    name: "seccomp: a profile of one's own",
    script: `echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}]}' > p.json
podman run --rm --network none --security-opt seccomp=p.json box sh -c 'exec 2>&1; mkdir /tmp/x; echo $?'`,
  },
  {
    name: "seccomp: unconfined",
    script:
      "podman run --rm --network none --security-opt seccomp=unconfined box grep Seccomp: /proc/self/status",
  },
  {
    name: "masked and read-only paths",
    script:
      "podman run --rm --network none box sh -c 'exec 2>&1; wc -c < /proc/keys; ls /proc/acpi /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/panic; test -w /proc/bus; echo $?'",
  },
  {
    name: "unmasked",
    script:
      "podman run --rm --network none --security-opt unmask=all box sh -c 'ls /sys/firmware | wc -l; mount | grep -c /proc'",
  },
  {
    name: "user namespace",
    script:
      "podman run --rm --network none --uidmap 0:100000:65536 --gidmap 0:100000:65536 box sh -c 'cat /proc/self/uid_map; id; touch /root/x && stat -c %u /root/x; ls -ld /proc/1 /dev/null | cut -c1-10'",
  },
  {
    name: "user namespace: a volume",
    script: `mkdir -p v; podman run --rm --network none --uidmap 0:100000:65536 -v "$DIR/v:/v:U" box sh -c 'touch /v/x; stat -c %u /v/x'; stat -c %u v/x`,
    tidy: "rm -rf v",
  },
  {
    name: "privileged",
    script:
      'podman run --rm --network none --privileged box sh -c \'grep -E "^(CapEff|Seccomp):" /proc/self/status; mount | grep -c "^proc.*ro,"; test -e /dev/loop-control; echo $?\'',
  },
  {
    name: "namespaces of the host",
    script:
      "podman run --rm --network host --pid host --ipc host --uts host box sh -c 'for n in net pid ipc uts; do readlink /proc/self/ns/$n; done; hostname'",
  },
  {
    name: "namespaces of another container",
    script: `podman run -d --name c --network none --hostname h --ipc shareable box sleep 1000 >/dev/null
podman run --rm --network container:c --pid container:c --ipc container:c --uts container:c box sh -c 'ps -o comm | grep sleep; hostname'`,
  },
  {
    name: "cgroup namespace of its own",
    script:
      "podman run --rm --network none --cgroupns private box sh -c 'cut -d: -f3 /proc/self/cgroup | sort -u; ls /sys/fs/cgroup'",
  },
  {
    name: "cgroup namespace of the host",
    script:
      "podman run --rm --network none --cgroupns host --cgroup-parent /berth-engines box sh -c 'grep -c berth-engines /proc/self/cgroup'",
    tidy: "for d in /sys/fs/cgroup/*/berth-engines; do rmdir $d/libpod-* $d; done",
  },
  {
    name: "init",
    script: "podman run --rm --network none --init box sh -c 'cat /proc/1/comm; exit 6'",
    exit: 6,
  },
  {
    name: "OOM score",
    script: "podman run --rm --network none --oom-score-adj 500 box cat /proc/self/oom_score_adj",
  },
  {
    name: "personality",
    script: "podman run --rm --network none --personality=LINUX32 box uname -m",
    improves: [{ part: "stdout", runc: "x86_64", berth: "i686", reason: PERSONALITY }],
  },
  {
    name: "timezone and hosts",
    script: "podman run --rm --network none --add-host a:1.2.3.4 box grep 1.2.3.4 /etc/hosts",
  },
  {
    name: "secrets",
    script:
      "echo -n quiet | podman secret create s - >/dev/null; podman run --rm --network none --secret s box cat /run/secrets/s; podman secret rm s >/dev/null",
  },
  {
    name: "hooks",
    script: `mkdir -p hooks; cat > hooks/h.json <<END
{"version":"1.0.0","hook":{"path":"$DIR/bin/hook","args":["hook","stage"]},"when":{"always":true},"stages":["prestart","createRuntime","poststart","poststop"]}
END
printf '#!/bin/sh\\nsed "s/.*\\\\(\\"status\\":\\"[a-z]*\\"\\\\).*/\\\\1/" >> %s/hooks.log; echo >> %s/hooks.log\\n' "$DIR" "$DIR" > bin/hook; chmod +x bin/hook
podman --hooks-dir hooks run --rm --network none box echo hello; grep -o '"status":"[a-z]*"' hooks.log`,
    tidy: "rm -rf hooks hooks.log bin/hook",
    improves: [
      { part: "stdout", runc: '"status":"created"', berth: '"status":"running"', reason: POSTSTART },
    ],
  },
  {
    name: "healthcheck",
    script: `podman run -d --name c --network none --health-cmd 'test -e /tmp/fit' box sleep 1000 >/dev/null 2>&1
code podman healthcheck run c; podman exec c touch /tmp/fit; code podman healthcheck run c; podman inspect --format '{{.State.Health.Status}}' c`,
  },
  {
    name: "a descriptor more",
    script: `echo kept > f; exec 3<f; podman run --rm --network none --preserve-fds 1 box sh -c 'cat <&3; ls /proc/self/fd | wc -l'`,
    tidy: "rm -f f",
  },
  {
    name: "no descriptor reaches the container",
    script:
      "exec 7</etc/passwd; podman run --rm --network none box sh -c 'ls /proc/self/fd | wc -l; ls /proc/1/fd'",
  },
  {
    name: "LISTEN_FDS",
    script:
      "exec 3</etc/passwd; LISTEN_FDS=1 podman run --rm --network none box sh -c 'echo $LISTEN_FDS; head -n1 <&3'",
  },
  {
    name: "files: cp, diff, export, commit",
    script: `podman run -d --name c --network none box sleep 1000 >/dev/null; echo copied > f
podman cp f c:/tmp/f; podman exec c cat /tmp/f; podman cp c:/etc/group g; head -n1 g
podman diff c | sort; podman export c | tar -t | grep -c busybox; podman commit -q c localhost/more >/dev/null; podman run --rm --network none more cat /tmp/f
podman rmi -f more >/dev/null`,
    tidy: "rm -f f g",
  },
  {
    name: "checkpoint",
    script: `podman run -d --name c --network none box sleep 1000 >/dev/null; podman container checkpoint c`,
    exit: 125,
    failsHere:
      "Podman asks for criu before it asks the runtime, and Debian 12's cannot read newer kernels' vDSO: it is not installed",
  },
  {
    name: "ps, inspect, events",
    script: `podman run -d --name c --network none box sleep 1000 >/dev/null; podman ps --format '{{.Names}} {{.State}} {{.Command}}'
podman inspect --format '{{.State.Running}} {{.State.Pid}}' c | sed 's/ [1-9][0-9]*$/ PID/'; podman rm -f -t 0 c; podman ps -aq`,
  },
  {
    name: "rm -f of a running container, rm of none",
    script:
      "podman run -d --name c --network none box sleep 1000 >/dev/null; podman rm -f -t 0 c; code podman rm c",
  },
  {
    name: "pods",
    script: `podman pod create --name p --network none --infra-command '/bin/sleep 100000' --infra-image box --hostname podded >/dev/null
podman run -d --name a --pod p box sleep 1000 >/dev/null; podman run -d --name b --pod p box sleep 1000 >/dev/null
podman exec b hostname; for n in net ipc uts; do test "$(podman exec a readlink /proc/self/ns/$n)" = "$(podman exec b readlink /proc/self/ns/$n)" && echo same $n; done
podman pod top p comm | sort; podman pod pause p >/dev/null; podman inspect --format '{{.State.Status}}' a; podman pod unpause p >/dev/null
podman pod stop -t 0 p >/dev/null; podman pod ps --format '{{.Name}} {{.Status}}'; podman pod start p >/dev/null; podman exec a echo again; podman pod rm -f -t 0 p >/dev/null`,
  },
  {
    name: "pods: shared pid namespace",
    script: `podman pod create --name p --network none --share pid,net,ipc --infra-command '/bin/sleep 100000' --infra-image box >/dev/null
podman run -d --name a --pod p box sleep 777 >/dev/null; podman run --rm --pod p box sh -c 'ps -o args | grep -c "[s]leep"'`,
  },
  {
    name: "play kube",
    script: `cat > kube.yaml <<END
apiVersion: v1
kind: Pod
metadata: {name: k}
spec:
  restartPolicy: Never
  containers:
  - {name: a, image: localhost/box, imagePullPolicy: Never, command: [sh, -c, 'echo from a; exec sleep 1000'], resources: {limits: {memory: 64Mi, cpu: 500m}}, volumeMounts: [{name: e, mountPath: /e}]}
  - {name: b, image: localhost/box, imagePullPolicy: Never, command: [sh, -c, 'echo from b > /e/x; exec sleep 1000'], volumeMounts: [{name: e, mountPath: /e}]}
  volumes: [{name: e, emptyDir: {}}]
END
podman play kube --network none kube.yaml >/dev/null; shows 'from a' podman logs k-a; podman logs k-a; until_ podman exec k-a cat /e/x; podman exec k-a cat /e/x
podman exec k-a cat /sys/fs/cgroup/memory/memory.limit_in_bytes
podman play kube --down kube.yaml >/dev/null; podman ps -aq`,
    tidy: "rm -f kube.yaml",
  },
  {
    name: "build",
    script: `mkdir -p b; printf 'FROM localhost/box\\nENV A=b\\nRUN echo built > /built && id -u\\nUSER 1000\\nRUN id -u; test ! -w /etc\\nCMD ["cat","/built"]\\n' > b/Containerfile
podman build -q --network none --pull=never -t localhost/made b >/dev/null; podman run --rm --network none localhost/made`,
    tidy: "podman rmi -f localhost/made; rm -rf b",
  },
  {
    name: "build: a command that fails",
    script: `printf 'FROM localhost/box\\nRUN exit 4\\n' | podman build -q --network none --pull=never -t localhost/made -`,
    exit: 4,
  },
];
