/** What buildah is asked to do. */
import type { Script } from "./operation.ts";
import { FAULTS, WORDS } from "./reasons.ts";

/** A container to run commands in, whose name is then $C. */
const FROM = "C=$(buildah from --pull-never localhost/box)";

export const operations: readonly Script[] = [
  { name: "run", script: `${FROM}; buildah run --runtime $RUNTIME --network none $C echo hello` },
  {
    name: "run: exit code",
    script: `${FROM}; buildah run --runtime $RUNTIME --network none $C sh -c 'exit 7'`,
    exit: 7,
  },
  {
    name: "run: input",
    script: `${FROM}; echo typed | buildah run --runtime $RUNTIME --network none $C cat`,
  },
  {
    name: "run: a program that is not there",
    script: `${FROM}; buildah run --runtime $RUNTIME --network none $C nope`,
    exit: 1,
    improves: [
      {
        part: "stderr",
        runc: `time="TIME" level=error msg="RUNTIME create failed: unable to start container process: exec: \\"nope\\": executable file not found in $PATH"`,
        berth: `RUNTIME: ${FAULTS.noCommand.berth}\nhint: ${FAULTS.noCommand.hint}`,
        reason: WORDS,
      },
    ],
  },
  {
    name: "run -t",
    script: `${FROM}; on_terminal buildah run -t --runtime $RUNTIME --network none $C sh -c 'tty; exit 3'`,
    exit: 3,
  },
  {
    name: "run: user, working directory, environment",
    script: `${FROM}; buildah run --runtime $RUNTIME --network none --user 1000:5 --workingdir /tmp --env A=b $C sh -c 'id; pwd; echo $A'`,
  },
  {
    name: "run: a flag for the runtime",
    script: `${FROM}; buildah run --runtime $RUNTIME --runtime-flag debug --network none $C echo hello 2>/dev/null`,
  },
  {
    name: "run: a volume",
    script: `mkdir -p v; echo seen > v/f; ${FROM}; buildah run --runtime $RUNTIME --network none -v "$DIR/v:/v:ro" $C sh -c 'cat /v/f; touch /v/x 2>&1'`,
    exit: 1,
    tidy: "rm -rf v",
  },
  {
    name: "run: capabilities, seccomp",
    script: `${FROM}; buildah run --runtime $RUNTIME --network none $C grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status`,
  },
  { name: "run --isolation chroot", script: `${FROM}; buildah run --isolation chroot $C echo hello` },
  {
    name: "run, then commit",
    script: `${FROM}; buildah run --runtime $RUNTIME --network none $C sh -c 'echo made > /made'; buildah commit -q $C localhost/made >/dev/null; D=$(buildah from --pull-never localhost/made); buildah run --runtime $RUNTIME --network none $D cat /made; buildah rm $D >/dev/null; buildah rmi -f localhost/made >/dev/null`,
  },
  {
    name: "bud",
    script: `mkdir -p b; printf 'FROM localhost/box\\nRUN echo built > /built && id -u\\nUSER 1000\\nRUN id -u; grep Seccomp: /proc/self/status\\n' > b/Containerfile
buildah bud --runtime $RUNTIME --network none --pull-never -t localhost/made b`,
    tidy: "buildah rmi -f localhost/made; rm -rf b",
  },
  {
    name: "bud --memory",
    script: `mkdir -p b; printf 'FROM localhost/box\\nRUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes\\n' > b/Containerfile
buildah bud --runtime $RUNTIME --memory 64m --network none --pull-never -t localhost/made b`,
    tidy: "buildah rmi -f localhost/made; rm -rf b",
  },
  {
    name: "bud: from scratch",
    script: `mkdir -p b; cp "$ROOTFS/bin/busybox" b/; printf 'FROM scratch\\nCOPY busybox /busybox\\nRUN ["/busybox","echo","hello"]\\n' > b/Containerfile
buildah bud --runtime $RUNTIME --network none --pull-never -t localhost/made b`,
    tidy: "buildah rmi -f localhost/made; rm -rf b",
  },
  {
    name: "bud: a command that fails",
    script: `mkdir -p b; printf 'FROM localhost/box\\nRUN exit 4\\n' > b/Containerfile; buildah bud --runtime $RUNTIME --network none --pull-never b`,
    exit: 4,
    tidy: "rm -rf b",
  },
];
