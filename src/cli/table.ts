/** Lines of cells, each column as wide as its widest cell and two spaces. */
export function alignColumns(rows: readonly (readonly string[])[]): string {
  return rows.map((row) => line(row, columnWidths(rows, 0, 2))).join("\n");
}

/**
 * A table as runc prints it: columns at least 12 wide, with at least three spaces after each cell.
 * @returns lines, each with its end
 */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = columnWidths(rows, 12, 3);
  return rows.map((row) => `${line(row, widths)}\n`).join("");
}

function columnWidths(rows: readonly (readonly string[])[], least: number, padding: number): number[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? least, cell.length + padding);
    });
  }
  return widths;
}

function line(row: readonly string[], widths: readonly number[]): string {
  return row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join("");
}
