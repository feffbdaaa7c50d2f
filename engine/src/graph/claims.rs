//! Two components of one graph never read one socket: each would get some of what comes, at random.

use std::collections::HashMap;

use super::build::{Builder, ReceiverChange};
use super::extensions::ExtensionChange;
use crate::Sockets;
use crate::component::BuildError;
use crate::sockets::Address;

impl Builder<'_> {
    /// Refuses members of the next graph that claim what another one does. What the graph before has claimed does not count: a
    /// socket is handed over.
    pub(super) fn check_claims(&mut self, receivers: &[ReceiverChange], extensions: &[ExtensionChange]) {
        let running = self.running;
        let of_receivers = receivers.iter().filter_map(|change| {
            let known = || running.receivers.iter().find(|known| known.id == change.id).map(|known| &known.sockets);
            let sockets = change.new.as_ref().map(|new| &new.context.sockets).or_else(known)?;
            Some(("receivers", &change.id, sockets))
        });
        let of_extensions = extensions.iter().filter_map(|change| {
            let known = || running.extensions.iter().find(|known| known.id == change.id).map(|known| &known.sockets);
            Some(("extensions", &change.id, change.new.as_ref().map(|new| &new.sockets).or_else(known)?))
        });
        let mut claimed: HashMap<Address, &str> = HashMap::new();
        let members: Vec<(&str, &String, &Sockets)> = of_extensions.chain(of_receivers).collect();
        for (section, id, sockets) in members {
            for address in sockets.claimed() {
                if let Some(other) = claimed.get(&address) {
                    let message = format!("{address} is where `{other}` listens already; choose another endpoint");
                    self.refuse(section, id, BuildError::new("", message));
                } else {
                    claimed.insert(address, id);
                }
            }
        }
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use std::net::{SocketAddr, UdpSocket};
    use std::time::Duration;

    use async_trait::async_trait;

    use super::super::tests::{empty_plan, environment, settings};
    use super::super::{Graph, RunningGraph};
    use crate::Shutdown;
    use crate::component::{BuildContext, Outputs, Receiver, ReceiverConfig};
    use crate::config::{Plan, Planned};
    use crate::testing::FakeClock;

    use super::*;

    /// Listens, and does nothing with what comes.
    #[derive(Clone)]
    struct Listening(SocketAddr);

    impl ReceiverConfig for Listening {
        fn build(&self, context: BuildContext) -> Result<Box<dyn Receiver>, BuildError> {
            context.sockets.udp(self.0).map_err(|error| BuildError::new("endpoint", error.to_string()))?;
            Ok(Box::new(self.clone()))
        }
    }

    #[async_trait]
    impl Receiver for Listening {
        async fn run(self: Box<Self>, _outputs: Outputs, shutdown: Shutdown) -> Result<(), String> {
            shutdown.requested().await;
            Ok(())
        }
    }

    fn plan(receivers: &[(&str, SocketAddr)]) -> Plan {
        let planned = |(id, address): &(&str, SocketAddr)| Planned {
            id: (*id).to_owned(),
            config: Box::new(Listening(*address)) as Box<dyn ReceiverConfig>,
            settings: settings(&format!("endpoint: \"{address}\"")),
        };
        Plan { receivers: receivers.iter().map(planned).collect(), ..empty_plan() }
    }

    fn free() -> SocketAddr {
        UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    fn start(receivers: &[(&str, SocketAddr)]) -> Result<RunningGraph, String> {
        let graph = Graph::build(plan(receivers), &environment(&FakeClock::new()));
        graph.map(Graph::start).map_err(|failures| failures.to_string())
    }

    #[tokio::test]
    async fn two_receivers_at_one_address_are_refused_at_the_start_and_at_a_reload() {
        let (one, other) = (free(), free());
        let error = start(&[("a", one), ("b", one)]).err().unwrap();
        assert!(error.contains(&format!("udp {one} is where `a` listens already")), "{error}");
        let mut running = start(&[("a", one), ("b", other)]).unwrap();
        for wrong in [[("a", one), ("b", one)], [("a", other), ("b", other)]] {
            let error = running.reload(plan(&wrong), Duration::ZERO).unwrap_err().to_string();
            assert!(error.contains("listens already"), "{error}");
        }
        running.shutdown(Duration::from_secs(1)).await;
    }

    #[tokio::test]
    async fn a_reload_hands_a_socket_over_to_a_component_of_any_name() {
        let (one, other) = (free(), free());
        let mut running = start(&[("a", one), ("b", other)]).unwrap();
        for next in [[("a", other), ("b", one)], [("a", one), ("c", other)]] {
            running.reload(plan(&next), Duration::ZERO).unwrap();
        }
        running.shutdown(Duration::from_secs(1)).await;
    }
}
