/** What Docker is asked to do. */
import type { Script } from "./operation.ts";
import { FAULTS, MASKED, SHIM_CREATE, SHIM_EXEC, says } from "./reasons.ts";

export const operations: readonly Script[] = [
  {
    name: "info names the runtime",
    script:
      "docker info --format '{{.DefaultRuntime}} {{.CgroupDriver}}'; docker info --format '{{json .Runtimes.berth}}'",
  },
  { name: "run", script: "docker run --rm --network none box echo hello" },
  { name: "run --runtime", script: "docker run --rm --network none --runtime berth box echo hello" },
  { name: "run: exit code", script: "docker run --rm --network none box sh -c 'exit 7'", exit: 7 },
  { name: "run: input", script: "echo typed | docker run -i --rm --network none box cat" },
  {
    name: "run: stdout and stderr apart",
    script: "docker run --rm --network none box sh -c 'echo out; echo err >&2'",
  },
  {
    name: "run: a program that is not there",
    script: "docker run --rm --network none box nope",
    exit: 127,
    improves: [says(SHIM_CREATE, FAULTS.noCommand)],
  },
  {
    name: "run: a path that is not there",
    script: "docker run --rm --network none box /bin/nope",
    exit: 127,
    improves: [says(SHIM_CREATE, FAULTS.noFile)],
  },
  {
    name: "run: a file that cannot be executed",
    script: "docker run --rm --network none box /etc/passwd",
    exit: 126,
    improves: [says(SHIM_CREATE, FAULTS.notExecutable)],
  },
  {
    name: "run: a user that is not there",
    script: "docker run --rm --network none -u nobody_at_all box true",
    exit: 125,
  },
  {
    name: "run -it",
    script:
      "on_terminal docker run -it --rm --network none box sh -c 'tty; test -t 2 && echo terminal; exit 3'",
    exit: 3,
  },
  {
    name: "run: environment, working directory, user, hostname",
    script: `docker run --rm --network none -e A=b -w /made -u 1000:5 --hostname h box sh -c 'env | sort; pwd; id; hostname'`,
  },
  {
    name: "run: user by name, groups",
    script: "docker run --rm --network none -u user --group-add 7 box id",
  },
  {
    name: "run --init",
    script: "docker run --rm --network none --init box sh -c 'cat /proc/1/comm; exit 6'",
    exit: 6,
  },
  {
    name: "run --read-only --tmpfs",
    script:
      "docker run --rm --network none --read-only --tmpfs /t:size=1m box sh -c 'exec 2>&1; touch /x; touch /t/y && echo made; df /t | tail -n1'",
  },
  {
    name: "run: volumes",
    script: `mkdir -p v; echo seen > v/file; docker run --rm --network none -v "$DIR/v:/v:ro" box sh -c 'exec 2>&1; cat /v/file; touch /v/x'
docker volume create vol; docker run --rm --network none -v vol:/etc box sh -c 'echo kept > /etc/kept'; docker run --rm --network none -v vol:/w box cat /w/kept`,
    tidy: "rm -rf v",
  },
  {
    name: "run: mounts of the default container",
    script: 'docker run --rm --network none box sh -c "$MOUNTS"',
  },
  {
    name: "run: what masks paths",
    script: 'docker run --rm --network none box sh -c "$MASKS"',
    improves: MASKED,
  },
  {
    name: "run: capabilities, seccomp",
    script: "docker run --rm --network none box grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status",
  },
  {
    name: "run: every capability that root has here",
    script:
      "docker run --rm --network none --cap-add ALL --cap-drop SYS_RESOURCE box grep CapEff /proc/self/status",
  },
  {
    name: "run: seccomp unconfined, no new privileges",
    script:
      "docker run --rm --network none --security-opt seccomp=unconfined --security-opt no-new-privileges box grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status",
  },
  {
    name: "run --privileged",
    script: "docker run --rm --network none --privileged box true",
    exit: 125,
    failsHere: "Docker asks for every capability, and root lacks CAP_SYS_RESOURCE",
    improves: [says(SHIM_CREATE, FAULTS.capabilities)],
  },
  {
    name: "run: limits",
    script: `docker run --rm --network none --memory 64m --memory-swap 128m --cpus .5 --cpu-shares 512 --cpuset-cpus 0 --pids-limit 50 --blkio-weight 300 box sh -c '
exec 2>&1; cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.shares cpuset/cpuset.cpus pids/pids.max'`,
  },
  {
    name: "run: out of memory",
    // The kernel tells of it only who watches by then, and Docker calls that the cause only if it heard before the end.
    script: `docker run -d --name c1 --network none --memory 16m box sh -c '
until test -e /watched; do sleep 0.02; done; dd if=/dev/zero of=/dev/null bs=64M count=1; code=$?; until test -e /heard; do sleep 0.02; done; exit $code' >/dev/null
docker exec c1 touch /watched; heard() { docker events --since 1 --until "$(date +%s)" --filter event=oom --filter container=c1; }; shows oom heard
docker exec c1 touch /heard; docker wait c1; docker inspect --format '{{.State.OOMKilled}} {{.State.ExitCode}}' c1`,
  },
  {
    name: "run: ulimits, sysctl, OOM score, shm",
    script:
      "docker run --rm --network none --ulimit nofile=512:600 --sysctl net.ipv4.ip_forward=1 --oom-score-adj 500 --shm-size 2m box sh -c 'ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj; df /dev/shm | tail -n1'",
  },
  {
    name: "run: devices",
    script:
      "docker run --rm --network none --device /dev/fuse:/dev/f:r box sh -c 'ls -l /dev/f | cut -c1-10; ls /dev | sort'; docker run --rm --network none --device-cgroup-rule 'c 1:11 rw' --cap-add MKNOD box sh -c 'mknod /tmp/k c 1 11 && echo made'",
  },
  {
    name: "run: namespaces of the host",
    script:
      "docker run --rm --network host --pid host --ipc host --uts host --cgroupns host box sh -c 'for n in net pid ipc uts cgroup; do readlink /proc/self/ns/$n; done'",
  },
  {
    name: "run: namespaces of another container",
    script: `docker run -d --name c1 --network none --ipc shareable box sleep 1000 >/dev/null
docker run --rm --network container:c1 --pid container:c1 --ipc container:c1 box sh -c 'ps -o comm | grep sleep'`,
  },
  {
    name: "run: a private cgroup namespace",
    script:
      "docker run --rm --network none --cgroupns private box sh -c 'cut -d: -f3 /proc/self/cgroup | sort -u'",
  },
  {
    name: "run -d, logs, wait, ps",
    script: `docker run -d --name c1 --network none box sh -c 'echo one; echo two >&2; exit 3' >/dev/null
docker wait c1; docker logs c1; docker ps -a --format '{{.Names}} {{.Command}} {{.Image}}'; docker inspect --format '{{.State.Status}} {{.State.ExitCode}}' c1`,
  },
  {
    name: "create, start, attach",
    script:
      "docker create --name c1 --network none box sh -c 'echo started' >/dev/null; docker start -a c1; docker start -a c1; docker rm c1",
  },
  {
    name: "exec",
    script: `docker run -d --name c1 --network none box sleep 1000 >/dev/null
docker exec c1 echo hello; code docker exec c1 sh -c 'exit 5'; echo typed | docker exec -i c1 cat
docker exec -u 1000 -e A=b -w /tmp c1 sh -c 'id; echo $A; pwd'
docker exec c1 sh -c 'grep -E "^(Cap|NoNewPrivs|Seccomp)" /proc/self/status'
docker exec -d c1 sh -c 'echo done > /tmp/mark'; until_ docker exec c1 cat /tmp/mark; docker exec c1 cat /tmp/mark`,
  },
  {
    name: "exec: errors",
    script: `docker run -d --name c1 --network none box sleep 1000 >/dev/null
code docker exec c1 nope; code docker exec c1 /etc/passwd; code docker exec -w /nope c1 true; code docker exec -u nobody_at_all c1 true`,
    improves: [FAULTS.noCommand, FAULTS.notExecutable, FAULTS.noDirectory].map((fault) =>
      says(SHIM_EXEC, fault, "stdout"),
    ),
  },
  {
    name: "exec --privileged",
    script:
      "docker run -d --name c1 --network none box sleep 1000 >/dev/null; docker exec --privileged c1 true",
    exit: 126,
    failsHere: "Docker asks for every capability, and root lacks CAP_SYS_RESOURCE",
    improves: [says(SHIM_EXEC, FAULTS.capabilities, "stdout")],
  },
  {
    name: "exec -it",
    script: `docker run -d --name c1 --network none box sleep 1000 >/dev/null
on_terminal docker exec -it c1 sh -c 'tty; test -t 2 && echo terminal; exit 4'`,
    exit: 4,
  },
  {
    name: "stop, restart, kill",
    script: `docker run -d --name c1 --network none box sh -c 'trap "echo bye; exit 3" TERM; echo ready; while :; do sleep 0.05; done' >/dev/null
shows ready docker logs c1; docker stop c1; docker logs c1; docker inspect --format '{{.State.ExitCode}}' c1
docker restart -t 0 c1; docker kill c1; docker wait c1; code docker kill c1`,
  },
  {
    name: "stop: killed after the time",
    script: `docker run -d --name c1 --network none box sh -c 'trap "" TERM; while :; do sleep 0.05; done' >/dev/null
docker stop -t 1 c1; docker inspect --format '{{.State.Status}} {{.State.ExitCode}}' c1`,
  },
  {
    name: "pause, unpause",
    script: `docker run -d --name c1 --network none box sleep 1000 >/dev/null
docker pause c1; docker inspect --format '{{.State.Status}}' c1; code docker exec c1 true; docker unpause c1; docker exec c1 echo hello; docker pause c1; docker rm -f c1`,
  },
  {
    name: "top",
    script: `docker run -d --name c1 --network none box sh -c 'sleep 1000; true' >/dev/null
shows sleep docker top c1; docker top c1 -o pid,comm | tr -s ' ' | sed 's/^[0-9]*/PID/'`,
  },
  {
    name: "stats",
    script: `docker run -d --name c1 --network none --memory 64m box sleep 1000 >/dev/null
docker stats --no-stream --format '{{.Name}} {{.PIDs}}' c1; docker stats --no-stream --format '{{.MemUsage}}' c1 | sed 's/.*\\///'`,
  },
  {
    name: "update",
    script: `docker run -d --name c1 --network none --memory 64m --memory-swap 128m --pids-limit 50 box sleep 1000 >/dev/null
docker update --memory 100m --memory-swap 200m --cpus 0.5 --pids-limit 60 c1
docker exec c1 sh -c 'cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max'; code docker update --memory 300m c1`,
  },
  {
    name: "restart policy",
    script: `docker run -d --name c1 --restart on-failure:2 --network none box sh -c 'echo try; exit 1' >/dev/null
shows "try
try
try" docker logs c1; shows exited docker inspect --format '{{.State.Status}}' c1; docker inspect --format '{{.State.ExitCode}} {{.RestartCount}}' c1`,
  },
  {
    name: "healthcheck",
    script: `docker run -d --name c1 --network none --health-cmd 'test -e /tmp/fit' --health-interval 200ms --health-retries 1 box sleep 1000 >/dev/null
shows unhealthy docker inspect --format '{{.State.Health.Status}}' c1; docker exec c1 touch /tmp/fit
shows ' healthy' docker inspect --format ' {{.State.Health.Status}}' c1 && echo fit`,
  },
  {
    name: "cp, diff, export, commit",
    script: `docker run -d --name c1 --network none box sleep 1000 >/dev/null; echo copied > f; docker cp f c1:/tmp/f; docker exec c1 cat /tmp/f; docker diff c1 | sort; docker commit c1 more >/dev/null; docker run --rm --network none more cat /tmp/f; docker rmi -f more >/dev/null`,
    tidy: "rm -f f",
  },
  {
    name: "checkpoint",
    script: "docker run -d --name c1 --network none box sleep 1000 >/dev/null; docker checkpoint create c1 x",
    exit: 1,
    failsHere: "an experimental feature, which is off",
  },
  {
    name: "build: the old builder",
    script: `mkdir -p b; printf 'FROM box\\nRUN echo built > /built && id -u\\nUSER 1000\\nRUN id -u\\nCMD ["cat","/built"]\\n' > b/Dockerfile
DOCKER_BUILDKIT=0 docker build -q --network none -t made b >/dev/null && docker run --rm --network none made`,
    tidy: "docker rmi -f made; rm -rf b",
  },
  {
    name: "build: BuildKit",
    script: `mkdir -p b; printf 'FROM box\\nRUN echo built > /built && id -u\\nUSER 1000\\nRUN id -u; grep Seccomp: /proc/self/status > /tmp/s\\nCMD ["cat","/built","/tmp/s"]\\n' > b/Dockerfile
DOCKER_BUILDKIT=1 docker build -q --network none -t made b >/dev/null && docker run --rm --network none made`,
    tidy: "docker rmi -f made; rm -rf b",
  },
  {
    name: "build: BuildKit, a command that fails",
    script: `mkdir -p b; printf 'FROM box\\nRUN exit 4\\n' > b/Dockerfile; DOCKER_BUILDKIT=1 docker build --progress plain --network none b 2>&1 | grep -c 'exit code: 4'`,
    tidy: "rm -rf b",
  },
  {
    name: "compose",
    script: `mkdir -p compose; cat > compose/docker-compose.yml <<END
version: "2.4"
services:
  a: {image: box, command: [sleep, "1000"], network_mode: none, mem_limit: 64m}
  b: {image: box, command: [sh, -c, "echo from b; exec sleep 1000"], network_mode: none, depends_on: [a]}
END
cd compose; export DOCKER_HOST=unix://$DIR/docker.sock; docker-compose up -d 2>/dev/null; docker-compose exec -T a echo in a; shows 'from b' docker-compose logs
docker exec compose_a_1 cat /sys/fs/cgroup/memory/memory.limit_in_bytes; docker-compose stop -t 0 2>/dev/null; docker ps -a --format '{{.Names}} {{.State}}' | sort
docker-compose down -t 0 2>/dev/null; docker ps -aq`,
    tidy: "rm -rf compose",
  },
  {
    name: "rm -f of a running container",
    script:
      "docker run -d --name c1 --network none box sleep 1000 >/dev/null; code docker rm c1 2>/dev/null; docker rm -f c1; docker ps -aq",
  },
];
