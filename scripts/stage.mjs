// What the stages of setup.mjs are made of. Plain Node: it runs before anything is installed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
const stamps = `${root}dist/.setup`;

/** Says in a line or two what is missing and how to get it, and ends the process. */
export function giveUp(what, hint) {
  process.stderr.write(`berth: ${what}\n${hint ? `hint: ${hint}\n` : ""}`);
  process.exit(1);
}

/** One line of progress, on stderr: stdout belongs to the container that `npm start` runs. */
export function say(line) {
  process.stderr.write(`setup: ${line}\n`);
}

/** Runs a command without input. Its output is shown only if it fails. */
export function attempt(command, args, environment = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 1 << 26,
  });
  const output = `${result.stdout ?? ""}${result.stderr ?? ""}`;
  return { ok: result.status === 0, stdout: String(result.stdout ?? ""), output, error: result.error };
}

/** Like `attempt`, and gives up when the command fails. */
export function run(command, args, what, hint) {
  const result = attempt(command, args);
  if (!result.ok) {
    process.stderr.write(result.output);
    giveUp(
      `${what}: ${result.error?.message ?? `"${command} ${args[0]}" failed, its output is above`}`,
      hint,
    );
  }
  return result.stdout;
}

/** The path of a command, looked up as execvp does. */
export function find(command) {
  return (process.env.PATH ?? "")
    .split(":")
    .map((directory) => `${directory}/${command}`)
    .find((path) => existsSync(path) && statSync(path).isFile());
}

function* files(path) {
  if (!statSync(path).isDirectory()) {
    yield path;
    return;
  }
  for (const name of readdirSync(path).sort()) yield* files(`${path}/${name}`);
}

/**
 * Content decides whether a stage is up to date, not time: a checkout may put older files in the place of newer ones.
 * `salt` is what else the outputs depend on, such as a command line.
 */
function digest({ inputs, salt }) {
  const hash = createHash("sha256").update(salt ?? "");
  for (const input of inputs()) {
    for (const path of files(input)) hash.update(`\0${path}\0`).update(readFileSync(path));
  }
  return hash.digest("hex");
}

const stampOf = (stage) => `${stamps}/${stage.name}`;

/** Whether the outputs of a stage are there and were made from the inputs as they are now. */
export function isDone(stage) {
  if (!stage.outputs.every((output) => existsSync(output)) || !existsSync(stampOf(stage))) return false;
  try {
    return readFileSync(stampOf(stage), "utf8") === digest(stage);
  } catch {
    return false; // an input is not there yet: an earlier stage makes it
  }
}

/** Makes the outputs of a stage. */
export function perform(stage) {
  say(stage.title);
  const before = digest(stage);
  stage.make();
  mkdirSync(stamps, { recursive: true });
  // Taken before: what was edited meanwhile is built again the next time.
  writeFileSync(stampOf(stage), before);
}
