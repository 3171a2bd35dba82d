// The official adapters, by the URL of a cluster.

import { EVENTS } from "./engines.mjs";

/** What Node's server takes as its `adapter`, connected. */
export async function adapter(text) {
  const url = clusterUrl(text);
  const make = ADAPTERS[url.scheme];
  if (!make) throw new Error(`there is no adapter for ${url.scheme}://`);
  return make(url, text);
}

/** Its parts. The class URL takes no more than one host. */
export function clusterUrl(text) {
  const [, scheme, account = "", hosts, path, query] = /^([a-z+]+):\/\/([^@/]*@)?([^/?]+)(?:\/([^?]*))?(?:\?(.*))?$/.exec(text) ?? [];
  if (!scheme) throw new Error(`${text} is no URL of a cluster`);
  const parameters = new URLSearchParams(query);
  return { scheme, account, hosts: hosts.split(","), path: path ?? "", parameter: (name) => parameters.get(name) ?? undefined };
}

const ADAPTERS = {
  redis: async (url) => {
    const { createAdapter } = await import("@socket.io/redis-adapter");
    return createAdapter(...(await redisPair(url)), given({ key: url.parameter("prefix") }));
  },
  "redis+sharded": async (url) => {
    const { createShardedAdapter } = await import("@socket.io/redis-adapter");
    return createShardedAdapter(...(await redisPair(url)), given({ channelPrefix: url.parameter("prefix"), subscriptionMode: url.parameter("mode") }));
  },
  "redis+streams": async (url) => {
    const { createAdapter } = await import("@socket.io/redis-streams-adapter");
    const names = given({
      streamName: url.parameter("stream"),
      channelPrefix: url.parameter("prefix"),
      sessionKeyPrefix: url.parameter("sessions"),
    });
    return createAdapter(await redisClient(url), { ...names, maxLen: Number(url.parameter("max-len") ?? 10_000) });
  },
  postgres: async (_, text) => {
    const { default: pg } = await import("pg");
    const { createAdapter } = await import("@socket.io/postgres-adapter");
    const pool = new pg.Pool({ connectionString: text });
    pool.on("error", (error) => console.error(`postgres: ${error.message}`));
    await pool.query(ATTACHMENTS);
    return createAdapter(pool, { errorHandler: (error) => console.error(`postgres: ${error.message}`) });
  },
  mongodb: async (url, text) => {
    const { MongoClient } = await import("mongodb");
    const { createAdapter } = await import("@socket.io/mongo-adapter");
    const client = new MongoClient(text);
    await client.connect();
    return createAdapter(...(await mongoCollection(client, url)));
  },
  // There is no official one that does more than broadcasts; this is ours, in clients/.
  nats: async (url) => {
    const { connect } = await import("@nats-io/transport-node");
    const { createAdapter } = await import("sockeye-nats-adapter");
    const [user, pass] = url.account.slice(0, -1).split(":").map(decodeURIComponent);
    const connection = await connect({ servers: url.hosts, noEcho: true, ...(user && { user, pass }) });
    return createAdapter(connection, { prefix: url.parameter("prefix") });
  },
  // It can do broadcasts, and nothing else.
  "nats+mickl": async (url) => {
    const { connect } = (await import("nats")).default;
    const { createAdapter } = (await import("@mickl/socket.io-nats-adapter")).default;
    return createAdapter(await connect({ servers: url.hosts }));
  },
};

/** To the adapters, an option that is undefined is one that is given. */
export const given = (options) => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

const onError = (error) => console.error(`redis: ${error.message}`);

/** Several hosts are those of a Redis Cluster. */
export async function redisClient(url) {
  const { createClient, createCluster } = await import("redis");
  const rootNodes = url.hosts.map((host) => ({ url: `redis://${url.account}${host}` }));
  const client = rootNodes.length > 1 ? createCluster({ rootNodes }) : createClient(rootNodes[0]);
  client.on("error", onError);
  await client.connect();
  return client;
}

async function redisPair(url) {
  return Promise.all([redisClient(url), redisClient(url)]);
}

/**
 * The collection of the adapter's own instructions, in the database that the URL names, and the options for it: a capped one,
 * unless there is one already, which may forget by age.
 */
export async function mongoCollection(client, url) {
  const db = client.db(url.path || "mydb");
  await db.createCollection(EVENTS, { capped: true, size: 1e6 }).catch((error) => {
    if (error.codeName !== "NamespaceExists") throw error;
  });
  const events = db.collection(EVENTS);
  return [events, { addCreatedAtField: !(await events.isCapped()) }];
}

const ATTACHMENTS = `CREATE TABLE IF NOT EXISTS socket_io_attachments (
  id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea)`;
