//! Several nodes over one PostgreSQL and one NATS, and nginx before them.

use super::{Client, Http, Nats, Nginx, Server};

/// Ends with the test.
pub struct Cluster {
    pub nodes: Vec<Server>,
    pub nats: Nats,
    pub nginx: Nginx,
}

impl Cluster {
    /// Every node takes the tokens of every other, and needs few connections.
    pub const SHARED: &[(&str, &str)] =
        &[("auth.keys", "dev1:0123456789abcdef0123456789abcdef"), ("database.lanes", "1")];

    /// Three nodes; `None`, and a word on why, where something is missing.
    pub async fn start() -> Option<Self> {
        Self::with(&[]).await
    }

    pub async fn with(settings: &[(&str, &str)]) -> Option<Self> {
        Self::of(3, settings).await
    }

    pub async fn of(nodes: usize, settings: &[(&str, &str)]) -> Option<Self> {
        let nats = Nats::start()?;
        let (database, _) = Server::fresh_postgres()?;
        Self::over(nodes, nats, &database, settings).await
    }

    /// The same over this database.
    pub async fn over(nodes: usize, nats: Nats, database: &str, settings: &[(&str, &str)]) -> Option<Self> {
        let url = nats.url();
        let own = [("database.url", database), ("relay.nats_url", url.as_str())];
        let settings = [Self::SHARED, &own, settings].concat();
        let start = |n: usize| {
            let name = format!("n{n}");
            let mut node = Server::alone(&[&[("server.node", name.as_str())], settings.as_slice()].concat());
            // Where it stays when it is started again.
            let at = node.at.clone();
            node.set_variable("HONGYAN_SERVER__LISTEN", Some(&at));
            node
        };
        Self::of_nodes((0..nodes).map(start).collect(), nats).await
    }

    /// Of nodes that were started for it.
    pub async fn of_nodes(nodes: Vec<Server>, nats: Nats) -> Option<Self> {
        let cluster = Self { nginx: Nginx::before(&addresses(&nodes))?, nodes, nats };
        cluster.meets().await;
        Some(cluster)
    }

    /// Waits until every node hears every other.
    pub async fn meets(&self) {
        let others = (self.nodes.len() - 1) as f64;
        for node in &self.nodes {
            node.metric_becomes("hongyan_relay_up", 1.0).await;
            node.metric_becomes("hongyan_relay_nodes", others).await;
        }
    }

    pub fn addresses(&self) -> Vec<String> {
        addresses(&self.nodes)
    }

    /// A v1 client of that node.
    pub async fn v1(&self, node: usize, openid: &str) -> Client {
        self.nodes[node].v1(openid).await
    }

    /// HTTP as this user, through nginx.
    pub async fn http_as(&self, openid: &str) -> Http {
        let http = self.nodes[0].http_as(openid).await;
        Http::new(&self.nginx.at, Some(http.token()))
    }
}

fn addresses(nodes: &[Server]) -> Vec<String> {
    nodes.iter().map(|node| node.at.clone()).collect()
}
