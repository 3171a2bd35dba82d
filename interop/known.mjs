// Where another server differs from what the suites ask for, by name of that server.
// `--known NAME` reports these as "known" and does not fail because of them.

export const KNOWN = {
  reference: [
    // It sends non-ASCII text unescaped in polling payloads, where 1.x expects UTF-8 twice;
    // the first such text it makes itself (here the `auth` event) breaks the connection.
    "1.7.4 polling namespace",
  ],
};
