/** The same figures as a picture. */
import type { Contestant } from "./contestants.ts";
import type { Row } from "./report.ts";

const width = 760;
const left = 220;
const right = 90;
const bar = 14;
const gap = 14;
const top = 64;

const colours: Record<Contestant["name"], string> = { berth: "#1f6feb", runc: "#8b949e", crun: "#c9d1d9" };

const text = (x: number, y: number, content: string, more = "") =>
  `<text x="${x}" y="${y}" ${more}>${content.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</text>`;

/** An SVG with a group of bars for each row. The longest bar of a row is as long as that of any other: rows have units of their own. */
export function plot(contestants: readonly Contestant[], rows: readonly Row[], caption: string): string {
  const names = contestants.map(({ name }) => name);
  const group = names.length * bar + gap;
  const height = top + rows.length * group + 12;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
      `font-family="system-ui, sans-serif" font-size="12" fill="#24292f">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(16, 24, caption, 'font-weight="600"'),
    ...names.flatMap((name, i) => [
      `<rect x="${left + i * 80}" y="38" width="10" height="10" fill="${colours[name]}"/>`,
      text(left + 16 + i * 80, 47, name),
    ]),
  ];
  rows.forEach(({ title, unit, figures }, index) => {
    const y = top + index * group;
    const longest = Math.max(...names.map((name) => figures[name]?.median ?? 0));
    parts.push(text(left - 12, y + (names.length * bar) / 2 + 4, title, 'text-anchor="end"'));
    names.forEach((name, i) => {
      const median = figures[name]?.median;
      if (median === undefined) return;
      const length = Math.max(1, ((width - left - right) * median) / longest);
      parts.push(
        `<rect x="${left}" y="${y + i * bar}" width="${length.toFixed(1)}" height="${bar - 2}" fill="${colours[name]}"/>`,
        text(
          left + Math.round(length) + 6,
          y + i * bar + 10,
          `${median.toFixed(2)} ${unit}`,
          'font-size="11"',
        ),
      );
    });
  });
  return `${[...parts, "</svg>"].join("\n")}\n`;
}
