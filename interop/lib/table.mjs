// Results as a table for people.

const colour = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code, text) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);

export const green = (text) => paint(32, text);
export const red = (text) => paint(31, text);
export const yellow = (text) => paint(33, text);
export const dim = (text) => paint(2, text);

/** `cell(row, column)` answers [text, painter]; widths count the text without its colour. */
export function printTable(corner, rows, columns, cell) {
  const first = Math.max(corner.length, ...rows.map((name) => name.length));
  console.log([corner.padEnd(first), ...columns].join("  "));
  for (const row of rows) {
    const cells = columns.map((column) => {
      const [text, painter] = cell(row, column);
      const left = Math.max(0, Math.floor((column.length - text.length) / 2));
      return " ".repeat(left) + painter(text) + " ".repeat(Math.max(0, column.length - text.length - left));
    });
    console.log([row.padEnd(first), ...cells].join("  ").trimEnd());
  }
}
