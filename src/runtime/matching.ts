import { BerthError, messageOf } from "../errors.ts";
import { listIds } from "../state/store.ts";

/**
 * Does something to each container whose id a regular expression matches, anywhere in it, as crun does. One that fails is warned
 * about, and the next one has its turn.
 * @throws BerthError "invalid-option" for what is no regular expression; "some-failed" at the end
 */
export async function forEachMatching(
  root: string,
  pattern: string,
  warn: (message: string) => void,
  act: (id: string) => void | Promise<void>,
): Promise<void> {
  const expression = regularExpression(pattern);
  const ids = (listIds(root) ?? []).filter((id) => expression.test(id));
  let failed = 0;
  for (const id of ids) {
    try {
      await act(id);
    } catch (error) {
      failed++;
      warn(messageOf(error));
    }
  }
  if (failed > 0) throw new BerthError("some-failed", `${failed} of ${ids.length} containers: see above`);
}

function regularExpression(pattern: string): RegExp {
  try {
    return new RegExp(pattern);
  } catch (cause) {
    throw new BerthError("invalid-option", `--regex ${JSON.stringify(pattern)}: ${messageOf(cause)}`, {
      cause,
    });
  }
}
