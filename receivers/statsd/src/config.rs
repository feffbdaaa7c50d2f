//! Settings of the `statsd` receiver.

use std::net::SocketAddr;
use std::time;

use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Receiver, ReceiverConfig};
use hornpipe_engine::config::{ByteSize, Duration, Report};
use hornpipe_engine::sockets::resolve_endpoint;
use hornpipe_model::Signal;
use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::receiver::StatsdReceiver;

/// The most that one UDP datagram can carry, and the least buffer that makes sense.
const LARGEST_DATAGRAM: u64 = 65_535;
const SMALLEST_BUFFER: u64 = 512;
/// Indexes of series are 32 bits wide; this many need a machine with hundreds of gigabytes anyway.
const MOST_CONTEXTS: usize = 100_000_000;

/// Settings of the `statsd` receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StatsdConfig {
    /// Where to listen, as `host:port`. `localhost` means every loopback address of the machine (127.0.0.1 and ::1), so
    /// that it does not matter which one a client picks; `0.0.0.0:8125` or `[::]:8125` takes datagrams from the network,
    /// which anybody who reaches the port can send.
    pub endpoint: String,
    /// What to listen with: `udp`, or `udp4` or `udp6` to use only addresses of that family. Upper and lower case are the
    /// same.
    pub transport: Transport,
    /// How long a window is: whole seconds, at least `1s`. Windows end at multiples of it. Each series is sent once a
    /// window; rates are divided by it. Datadog's own clients and dashboards expect `10s`.
    pub aggregation_interval: Duration,
    /// How long a counter that gets no more values is reported as zero, so that a graph shows zero and not a gap. Counted
    /// in whole windows; `0s` switches it off.
    pub counter_expiry: Duration,
    /// How many series (name, type, tags and host) are known at once, at least 1. Lines of further ones are dropped with
    /// the reason `context_limit`. A series takes about half a kilobyte.
    pub max_contexts: usize,
    /// The socket's receive buffer, in which datagrams wait while nobody reads; 0 means 4MiB or as much of it as the
    /// system allows. Raise it, and the system's limit, where `hornpipe_statsd_kernel_drops` grows.
    pub socket_buffer_size: ByteSize,
    /// The longest datagram that is read whole, `512B` to `65535B`; of a longer one the last, incomplete line is dropped.
    pub max_datagram_bytes: ByteSize,
}

/// How datagrams come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// UDP over IPv4 and IPv6.
    #[default]
    Udp,
    /// UDP over IPv4 alone.
    Udp4,
    /// UDP over IPv6 alone.
    Udp6,
}

impl Transport {
    const ALL: [Transport; 3] = [Transport::Udp, Transport::Udp4, Transport::Udp6];
    const NAMES: &'static [&'static str] = &["udp", "udp4", "udp6"];

    fn takes(self, address: &SocketAddr) -> bool {
        match self {
            Transport::Udp => true,
            Transport::Udp4 => address.is_ipv4(),
            Transport::Udp6 => address.is_ipv6(),
        }
    }
}

impl<'de> Deserialize<'de> for Transport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let named = Transport::ALL.into_iter().zip(Transport::NAMES).find(|(_, name)| name.eq_ignore_ascii_case(&text));
        named.map(|(transport, _)| transport).ok_or_else(|| Error::unknown_variant(&text, Transport::NAMES))
    }
}

impl Default for StatsdConfig {
    fn default() -> Self {
        StatsdConfig {
            endpoint: "localhost:8125".to_owned(),
            transport: Transport::Udp,
            aggregation_interval: Duration::from_secs(10),
            counter_expiry: Duration::from_secs(300),
            max_contexts: 200_000,
            socket_buffer_size: ByteSize::default(),
            max_datagram_bytes: ByteSize::bytes(LARGEST_DATAGRAM),
        }
    }
}

impl ComponentType for StatsdConfig {
    const TYPE: &'static str = "statsd";
    const SIGNALS: &'static [Signal] = &[Signal::Metrics];
    const SUMMARY: &'static str = "takes metrics and service checks from StatsD and DogStatsD clients over UDP";
}

impl ReceiverConfig for StatsdConfig {
    fn validate(&self, report: &mut Report) {
        if !is_host_and_port(&self.endpoint) {
            let help = "write host:port, such as localhost:8125, 0.0.0.0:8125 or [::1]:8125";
            report.error_with_help("endpoint", "is not a host and a port", help);
        }
        let interval = self.aggregation_interval.get();
        if interval < time::Duration::from_secs(1) || interval.subsec_nanos() > 0 {
            let help = "write 10s, which is what Datadog and its clients expect";
            report.error_with_help("aggregation_interval", "must be whole seconds, at least 1s", help);
        }
        if !(1..=MOST_CONTEXTS).contains(&self.max_contexts) {
            report.error("max_contexts", format!("must be from 1 to {MOST_CONTEXTS}"));
        }
        if !(SMALLEST_BUFFER..=LARGEST_DATAGRAM).contains(&self.max_datagram_bytes.as_bytes()) {
            report.error("max_datagram_bytes", format!("must be from {SMALLEST_BUFFER} to {LARGEST_DATAGRAM} bytes"));
        }
    }

    fn build(&self, context: BuildContext) -> Result<Box<dyn Receiver>, BuildError> {
        let mut sockets = Vec::new();
        for address in self.addresses()? {
            let socket =
                context.sockets.udp(address).map_err(|error| BuildError::new("endpoint", error.to_string()))?;
            sockets.push(socket);
        }
        Ok(Box::new(StatsdReceiver::new(self.clone(), context, sockets)))
    }
}

impl StatsdConfig {
    /// The addresses to listen on, at least one.
    fn addresses(&self) -> Result<Vec<SocketAddr>, BuildError> {
        let mut addresses =
            resolve_endpoint(&self.endpoint).map_err(|error| BuildError::new("endpoint", error.to_string()))?;
        addresses.retain(|address| self.transport.takes(address));
        if addresses.is_empty() {
            let message = format!(
                "endpoint `{}` has no address of the family that the transport asks for; choose the transport udp, or an \
                 endpoint of that family",
                self.endpoint
            );
            return Err(BuildError::new("transport", message));
        }
        Ok(addresses)
    }
}

fn is_host_and_port(endpoint: &str) -> bool {
    endpoint.rsplit_once(':').is_some_and(|(host, port)| {
        let is_plain = !host.is_empty() && !host.contains([':', '/', ' ']);
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        (is_plain || is_bracketed) && port.parse::<u16>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &StatsdConfig) -> Vec<String> {
        let mut report = Report::new();
        config.validate(&mut report);
        report.problems().iter().map(|problem| problem.path.clone()).collect()
    }

    fn parse(json: &str) -> Result<StatsdConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn nothing_set_means_the_defaults() {
        assert_eq!(parse("{}").unwrap(), StatsdConfig::default());
        assert_eq!(problems(&StatsdConfig::default()), [""; 0]);
    }

    #[test]
    fn the_names_are_the_collectors_and_unknown_ones_are_refused() {
        let config = parse(
            r#"{"endpoint": "[::1]:9125", "transport": "UDP6", "aggregation_interval": "70s", "counter_expiry": "0s",
                "max_contexts": 5, "socket_buffer_size": "1MiB", "max_datagram_bytes": 8192}"#,
        )
        .unwrap();
        assert_eq!((config.transport, config.max_contexts), (Transport::Udp6, 5));
        assert_eq!(config.aggregation_interval, Duration::from_secs(70));
        assert_eq!(problems(&config), [""; 0]);
        assert!(parse(r#"{"endpont": "x"}"#).is_err());
        let error = parse(r#"{"transport": "sctp"}"#).unwrap_err().to_string();
        assert!(error.contains("`udp`, `udp4`, `udp6`"), "{error}");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let config = |change: fn(&mut StatsdConfig)| {
            let mut config = StatsdConfig::default();
            change(&mut config);
            problems(&config)
        };
        assert_eq!(config(|c| c.aggregation_interval = Duration::ZERO), ["aggregation_interval"]);
        assert_eq!(config(|c| c.aggregation_interval = "1500ms".parse().unwrap()), ["aggregation_interval"]);
        assert_eq!(config(|c| c.max_contexts = 0), ["max_contexts"]);
        assert_eq!(config(|c| c.max_datagram_bytes = ByteSize::bytes(100)), ["max_datagram_bytes"]);
        for endpoint in ["", "8125", "localhost", ":8125", "localhost:", "localhost:99999", "::1:8125", "http://x:1"] {
            let config = StatsdConfig { endpoint: endpoint.to_owned(), ..StatsdConfig::default() };
            assert_eq!(problems(&config), ["endpoint"], "{endpoint}");
        }
        for endpoint in ["localhost:8125", "0.0.0.0:8125", "[::]:8125", "statsd.internal:0"] {
            let config = StatsdConfig { endpoint: endpoint.to_owned(), ..StatsdConfig::default() };
            assert_eq!(problems(&config), [""; 0], "{endpoint}");
        }
    }

    #[test]
    fn a_transport_keeps_the_addresses_of_its_family() {
        let addresses = |transport| StatsdConfig { transport, ..StatsdConfig::default() }.addresses().unwrap();
        assert_eq!(addresses(Transport::Udp4), ["127.0.0.1:8125".parse().unwrap()]);
        assert!(addresses(Transport::Udp).contains(&"127.0.0.1:8125".parse().unwrap()));
        let config = StatsdConfig { endpoint: "127.0.0.1:1".into(), transport: Transport::Udp6, ..Default::default() };
        assert_eq!(config.addresses().unwrap_err().option, "transport");
    }
}
