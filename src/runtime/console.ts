import { BerthError } from "../errors.ts";
import { absolute } from "../linux/directory.ts";
import { errnoText } from "../linux/errno.ts";
import { close } from "../linux/file.ts";
import type { Scope } from "../linux/scope.ts";
import { sendDescriptor, tryConnect } from "../linux/socket.ts";
import type { Process } from "../spec/process.ts";

/** Takes the master of a container's terminal, and owns it from then on. */
export type ConsoleReceiver = (master: number) => void;

/**
 * Checks that a terminal has somebody to talk to, and a console socket a terminal to receive.
 * @param foreground berth stays and serves the terminal itself
 * @throws BerthError "terminal"
 */
export function checkTerminal(
  process: Process | undefined,
  consoleSocket: string | undefined,
  foreground: boolean,
): void {
  const terminal = process?.terminal === true;
  if (terminal && !foreground && consoleSocket === undefined) {
    throw new BerthError(
      "terminal",
      "cannot allocate tty if berth will detach without setting console socket",
      {
        hint: "process.terminal is true: give --console-socket, run in the foreground, or set it to false",
      },
    );
  }
  if (consoleSocket !== undefined && (foreground || !terminal)) {
    throw new BerthError("terminal", "cannot use console socket if berth will not detach or allocate tty", {
      hint: "--console-socket goes with process.terminal true, and with create or --detach",
    });
  }
}

/**
 * Connects to the console socket, before anything is made.
 * @returns what sends it the master; undefined without a socket
 * @throws BerthError
 */
export function connectConsole(path: string | undefined, scope: Scope): ConsoleReceiver | undefined {
  if (path === undefined) return undefined;
  const socket = scope.keep(connectTo("--console-socket", path));
  return (master) => {
    // The payload is not looked at, but must not be empty.
    sendDescriptor(socket, master, "/dev/ptmx");
    close(master);
  };
}

/** A connection to an engine's Unix socket. @param flag the option that named it @throws BerthError */
export function connectTo(flag: string, path: string): number {
  const socket = tryConnect(absolute(path), "stream");
  if (socket >= 0) return socket;
  throw new BerthError("socket", `${flag}: connect to "${path}": ${errnoText(-socket)}`, {
    hint: "the engine must listen there, on a Unix stream socket, before it calls berth",
  });
}
