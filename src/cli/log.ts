import { O_APPEND, O_CREAT, O_WRONLY } from "../linux/constants.ts";
import { open, writeAll } from "../linux/file.ts";

// Forty lines instead of a package: pino wants Node's modules, which the engine has not, and has no text format.

/** From what is said most often to what is said last. The names are those that engines look for in log lines. */
export const LEVELS = ["debug", "info", "warning", "error", "fatal"] as const;
export type Level = (typeof LEVELS)[number];

/** "plain" is for people, "text" is logrus's form, "json" is what containerd and Podman decode. */
export type LogFormat = "plain" | "text" | "json";

/** Where berth says what is not the output of a command. */
export interface Log {
  /** Everything below this is left out. */
  readonly level: Level;
  readonly format: LogFormat;
  /** Its lines go to a file, where an engine finds them and a person does not. */
  readonly toFile: boolean;
  /** Says it, if it can be said: a full disk is no reason to fail. */
  write(level: Level, message: string): void;
}

/** The log of a caller that asks for none: for people, on stderr. */
export const PLAIN_LOG: Log = makeLog(2, "plain", "info");

/**
 * A log in a file, to which it adds; without a file, on stderr. Each line is one write, so that processes can share a file.
 * @throws BerthError when the file cannot be opened
 */
export function openLog(file: string | undefined, format: LogFormat | undefined, level: Level): Log {
  if (file === undefined) return makeLog(2, format ?? "plain", level);
  return makeLog(open(file, O_WRONLY | O_CREAT | O_APPEND, 0o644), format ?? "text", level);
}

function makeLog(fd: number, format: LogFormat, level: Level): Log {
  const lowest = LEVELS.indexOf(level);
  return {
    level,
    format,
    toFile: fd !== 2,
    write(level, message) {
      if (LEVELS.indexOf(level) < lowest) return;
      try {
        writeAll(fd, formatLine(format, level, message));
      } catch {
        // There is no other place to say it.
      }
    },
  };
}

/** One line of a log. */
export function formatLine(format: LogFormat, level: Level, message: string): string {
  const time = new Date().toISOString();
  switch (format) {
    case "json":
      return `${JSON.stringify({ level, msg: message, time })}\n`;
    case "text":
      return `time="${time}" level=${level} msg=${JSON.stringify(message)}\n`;
    case "plain":
      return level === "error" ? `berth: ${message}\n` : `berth: ${level}: ${message}\n`;
  }
}
