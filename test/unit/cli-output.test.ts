import { describe, expect, test } from "vitest";
import { withHint } from "../../src/cli/failure.ts";
import { containerTable } from "../../src/cli/list.ts";
import { formatLine, LEVELS } from "../../src/cli/log.ts";
import { processTable } from "../../src/cli/ps.ts";
import { signalNumber } from "../../src/cli/signals.ts";
import { alignColumns } from "../../src/cli/table.ts";

describe("signals", () => {
  test.each([
    ["9", 9],
    ["0", 0],
    ["64", 64],
    ["KILL", 9],
    ["SIGKILL", 9],
    ["sigkill", 9],
    ["kill", 9],
    ["Term", 15],
    ["SIGCHLD", 17],
    ["WINCH", 28],
    ["RTMIN", 34],
    ["SIGRTMIN+3", 37],
    ["rtmax-1", 63],
    ["RTMAX", 64],
  ])("%s is %i", (text, number) => {
    expect(signalNumber(text)).toBe(number);
  });

  test.each([
    "",
    "65",
    "-9",
    "9 ",
    "0x9",
    "1e1",
    "SIG",
    "SIGSIGKILL",
    "RTMIN-1",
    "RTMIN+31",
    "RTMAX+1",
    "TERMINATE",
    "constructor",
    "KILL\n",
  ])("%j is none", (text) => {
    expect(() => signalNumber(text)).toThrow(`unknown signal "${text}"`);
  });
});

describe("log lines", () => {
  const message = 'cannot do "x":\n  tab\there';

  test("JSON is one line that says level, message and time as RFC 3339", () => {
    const line = formatLine("json", "error", message);
    expect(line).toMatch(/^[^\n]+\n$/);
    const { level, msg, time, ...rest } = JSON.parse(line) as Record<string, string>;
    expect({ level, msg, rest }).toEqual({ level: "error", msg: message, rest: {} });
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("text is a line of logrus's form", () => {
    expect(formatLine("text", "warning", message)).toMatch(
      /^time="\d{4}-[^"]+Z" level=warning msg="cannot do \\"x\\":\\n {2}tab\\there"\n$/,
    );
  });

  test("plain lines name the level of what is no error", () => {
    expect(formatLine("plain", "error", "no")).toBe("berth: no\n");
    expect(formatLine("plain", "warning", "no")).toBe("berth: warning: no\n");
  });

  test("levels are those that engines know", () => {
    expect(LEVELS).toEqual(["debug", "info", "warning", "error", "fatal"]);
  });

  test.each([
    ["say size=64k", "bad (hint: say size=64k)"],
    [undefined, "bad"],
    // Podman would take the error for one of a missing file, or of rights.
    ["the script's interpreter: no such file or directory", "bad"],
    ["needs root: Permission denied", "bad"],
    ["container not running", "bad"],
  ])("hint %j", (hint, expected) => {
    expect(withHint("bad", hint)).toBe(expected);
  });
});

describe("tables", () => {
  const state = {
    ociVersion: "1.3.0",
    id: "box",
    pid: 12,
    status: "running",
    bundle: "/a/long/bundle",
    rootfs: "/r",
    created: "2026-01-02T03:04:05.678Z",
    owner: "root",
  } as const;

  test("list has runc's columns: 12 wide, three spaces between, none after the last", () => {
    const second = { ...state, id: "a-much-longer-id", pid: 0, status: "stopped" } as const;
    expect(containerTable([state, second])).toBe(
      [
        "ID                 PID         STATUS      BUNDLE           CREATED                    OWNER",
        "box                12          running     /a/long/bundle   2026-01-02T03:04:05.678Z   root",
        "a-much-longer-id   0           stopped     /a/long/bundle   2026-01-02T03:04:05.678Z   root",
        "",
      ].join("\n"),
    );
  });

  test("an empty list is its header", () => {
    expect(containerTable([])).toBe("ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
  });

  test("columns of help", () => {
    expect(
      alignColumns([
        ["a", "first"],
        ["longer", "second"],
      ]),
    ).toBe("a       first\nlonger  second");
  });
});

describe("ps", () => {
  const output = [
    "UID          PID    PPID CMD",
    "root           1       0 init",
    "root          12       1 sh -c 7",
    "root           7      12 sleep 12",
    "",
  ].join("\n");

  test("keeps the header and the rows of these processes", () => {
    expect(processTable(output, [7, 12, 99])).toBe(
      "UID          PID    PPID CMD\nroot          12       1 sh -c 7\nroot           7      12 sleep 12\n",
    );
    expect(processTable(output, [])).toBe("UID          PID    PPID CMD\n");
  });

  test("finds the column wherever it is", () => {
    expect(processTable("  PID CMD\n    7 a\n   70 b\n", [7])).toBe("  PID CMD\n    7 a\n");
  });

  test("says so when there is none", () => {
    expect(() => processTable("CMD\nsh\n", [1])).toThrow('couldn\'t find the field "PID" in ps output');
  });
});
