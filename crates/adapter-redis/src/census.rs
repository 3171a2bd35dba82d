//! Counting servers in a Redis Cluster, where each Redis knows its own subscribers only.

use std::collections::HashMap;

use futures_util::future::join_all;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use sockeye_cluster::FindNodes;
use sockeye_cluster_proto::NodeId;
use tokio::sync::Mutex;

use crate::commands::counted;
use crate::endpoint::{self, Endpoint};

/// Connections to the other servers of a Redis Cluster, made when they are needed first.
#[derive(Debug, Default)]
pub(crate) struct Census(Mutex<HashMap<String, MultiplexedConnection>>);

impl Census {
    /// The subscribers of a channel on all servers; those of a server that cannot be reached do not count.
    pub(crate) async fn count(
        &self,
        endpoint: &Endpoint,
        mut home: MultiplexedConnection,
        question: redis::Cmd,
    ) -> RedisResult<usize> {
        let mut nodes = redis::cmd("CLUSTER");
        let nodes: String = nodes.arg("NODES").query_async(&mut home).await?;
        let mut connections = self.0.lock().await;
        let mut asked = vec![("".to_owned(), home)];
        for address in others(&nodes) {
            if let Some(connection) = connections.get(address) {
                asked.push((address.to_owned(), connection.clone()));
            } else if let Some((host, port)) = split(address) {
                let server = endpoint.sibling(host, port);
                match endpoint::connect_to(server, &endpoint::config()).await {
                    Ok(connection) => {
                        connections.insert(address.to_owned(), connection.clone());
                        asked.push((address.to_owned(), connection));
                    }
                    Err(error) => tracing::debug!(%error, "a server of the cluster is away"),
                }
            }
        }
        let answers = asked.into_iter().map(|(address, mut connection)| {
            let question = &question;
            async move { (address, connection.send_packed_command(question).await) }
        });
        let mut sum = 0;
        for (address, answer) in join_all(answers).await {
            match answer.as_ref().ok().and_then(counted) {
                Some(count) => sum += count,
                // It is connected to again when the next count is asked for.
                None => drop(connections.remove(&address)),
            }
        }
        Ok(sum)
    }

    /// Looks for servers of ours by a question for each of them, which counts those that hear what is for it alone.
    pub(crate) async fn find(
        &self,
        endpoint: &Endpoint,
        home: MultiplexedConnection,
        find: FindNodes,
        question: impl Fn(&FindNodes, &NodeId) -> redis::Cmd,
    ) {
        for node in &find.nodes {
            let counted = self.count(endpoint, home.clone(), question(&find, node));
            match counted.await {
                Ok(servers) => find.answer(node, servers > 0),
                // Whoever has asked learns that there is no answer.
                Err(_) => return,
            }
        }
    }
}

/// The addresses of the servers that are not the one that has been asked, of what `CLUSTER NODES` says.
fn others(nodes: &str) -> impl Iterator<Item = &str> {
    nodes.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (address, flags) = (fields.next()?, fields.next()?);
        let is_there = !flags
            .split(',')
            .any(|flag| matches!(flag, "myself" | "fail" | "noaddr" | "handshake"));
        let address = address.split(['@', ',']).next()?;
        is_there.then_some(address)
    })
}

fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_those_that_can_be_asked() {
        let nodes = "a 127.0.0.1:1@11 myself,master - 0 0 1 connected 0-1\n\
                     b 127.0.0.1:2@12,host master - 0 0 2 connected 2-3\n\
                     c ::1:3@13 slave b 0 0 2 connected\n\
                     d 127.0.0.1:4@14 master,fail - 0 0 2 connected\n\
                     e :0@0 master,noaddr - 0 0 2 disconnected\n\
                     junk\n";
        let found: Vec<_> = others(nodes).map(split).collect();
        assert_eq!(found, [Some(("127.0.0.1", 2)), Some(("::1", 3))]);
    }
}
