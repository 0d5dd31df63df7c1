import { O_RDWR, PR_SET_DUMPABLE } from "../linux/constants.ts";
import { EACCES, systemError } from "../linux/errno.ts";
import { open, readSome, tryWrite, withDescriptor } from "../linux/file.ts";
import { syscall } from "../linux/native.ts";
import { fromUtf8, utf8 } from "../linux/text.ts";

/** Berth's own OOM score, which a process that it starts inherits; man 5 proc_pid_oom_score_adj. */
export interface ScoreKeeper {
  /** @param warn is told of a score that this caller may not give @throws BerthError */
  takeScore(score: number | undefined, warn: (message: string) => void): void;
  resetScore(): void;
}

const FILE = "/proc/self/oom_score_adj";

export function scoreKeeper(): ScoreKeeper {
  let own: string | undefined;
  return {
    takeScore(score, warn) {
      if (score === undefined) return;
      own = exchange(String(score), warn);
    },
    resetScore() {
      if (own === undefined) return;
      // A process that shared berth's memory may have changed its user since: the kernel closes that memory's files then.
      syscall("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0);
      exchange(own, () => {});
    },
  };
}

/** Writes a score, and answers what it was before; undefined when the kernel refuses the new one. */
function exchange(score: string, warn: (message: string) => void): string | undefined {
  return withDescriptor(open(FILE, O_RDWR), (fd) => {
    const before = fromUtf8(readSome(fd)).trim();
    const result = tryWrite(fd, utf8(score));
    if (result >= 0) return before;
    if (result !== -EACCES) throw systemError(-result, `process.oomScoreAdj: write ${score} to ${FILE}`);
    warn(`process.oomScoreAdj: ${score} is below ${before}, and to lower it takes root: it stays ${before}`);
    return undefined;
  });
}
