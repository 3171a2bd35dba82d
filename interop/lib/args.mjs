// Command-line options of the suites: `--name value`, `--name=value` and bare `--name`.

/** @returns {Record<string, string | true>} */
export function parseArgs(usage, known) {
  const options = {};
  const words = process.argv.slice(2);
  while (words.length > 0) {
    const [, name, inline] = /^--([a-z-]+)(?:=(.*))?$/s.exec(words.shift()) ?? [];
    if (!(name in known)) fail(usage);
    options[name] = known[name] === Boolean ? true : (inline ?? words.shift() ?? fail(usage));
  }
  return options;
}

export function fail(usage) {
  console.error(usage);
  process.exit(2);
}
