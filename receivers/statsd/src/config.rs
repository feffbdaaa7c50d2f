//! Settings of the `statsd` receiver.

use std::time;

use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Receiver, ReceiverConfig};
use hornpipe_engine::config::{ByteSize, Duration, Report};
use hornpipe_engine::sockets::{Claim, LONGEST_PATH};
use hornpipe_model::Signal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::collector::{self, CounterType, TimerHistogramMapping};
use crate::forward::{self, Forwarder};
use crate::hold::{GaugeHold, GaugeHoldConfig};
use crate::listen::{Framing, Socket};
use crate::listener::{ListenerConfig, Transport, is_host_and_port, too_long};
use crate::naming::{MapperProfile, NAMES_WITHOUT_NAMESPACE, Naming, TagFilterConfig};
use crate::origin::Cardinality;
use crate::receiver::StatsdReceiver;

/// The most that one UDP datagram can carry, and the least buffer that makes sense.
const LARGEST_DATAGRAM: u64 = 65_535;
const SMALLEST_BUFFER: u64 = 512;
const DEFAULT_SAMPLE_BYTES: u64 = 16 << 20;
const LEAST_SAMPLE_BYTES: u64 = 64 << 10;
/// Indexes of series are 32 bits wide; this many need a machine with hundreds of gigabytes anyway.
const MOST_CONTEXTS: usize = 100_000_000;

/// What a series of four tags takes with its point on the way to the exporters: by `docs/benchmarks.md`, 100,000 series make
/// the process 86 MiB larger. Long names and tags take more, up to the bound that `ContextLimit` has for them; that, and what
/// events and service checks may take in a window, is no more than a bound, and nothing is reserved for it.
const BYTES_A_SERIES: u64 = 900;
const DEFAULT_CONTEXTS: usize = 200_000;
/// What memory is reserved for where nobody has set a bound: more than nearly everybody has. For the default, a container of
/// 256 MiB would be too small, and most processes never come near it.
const USUAL_CONTEXTS: usize = 20_000;

/// Settings of the `statsd` receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StatsdConfig {
    /// What the clients speak: `dogstatsd`, or `etsy`, where a gauge with a sign is a step from its last value.
    pub dialect: Dialect,
    /// Where to listen, as `host:port`, or the absolute path of a Unix socket. `localhost` means every loopback address of the
    /// machine (127.0.0.1 and ::1), so that it does not matter which one a client picks; `0.0.0.0:8125` or `[::]:8125` takes
    /// datagrams from the network, which anybody who reaches the port can send.
    pub endpoint: String,
    /// What to listen with: `udp`, `tcp`, or with a path `unixgram` (datagrams) or `unix` (streams). `udp4`, `udp6`, `tcp4`
    /// and `tcp6` use only addresses of that family. Upper and lower case are the same.
    pub transport: Transport,
    /// How a stream is cut into messages: `length` (four bytes, least significant first, before each) or `newline`. Not
    /// set, it is `length` for `unix`, as DogStatsD clients send (`newline` in the dialect `etsy`), and `newline`
    /// for `tcp`.
    pub framing: Option<Framing>,
    /// The permissions of a Unix socket's file, in octal digits. A client needs the right to write.
    pub socket_permissions: String,
    /// How many threads read each UDP address, each with a socket of its own among which the system distributes the
    /// clients (`SO_REUSEPORT`). One is enough for several hundred thousand datagrams a second; all datagrams of one client
    /// go to the same thread.
    pub readers: usize,
    /// Further places to listen at, beside `endpoint`. What comes there is added to the same series.
    pub listeners: Vec<ListenerConfig>,
    /// How many connections may be open at each `unix` or `tcp` address, at least 1. Further ones are closed at once and
    /// counted.
    pub max_connections: usize,
    /// How long a window is: whole seconds, at least `1s`. Windows end at multiples of it. Each series is sent once a
    /// window; rates are divided by it. Datadog's own clients and dashboards expect `10s`.
    pub aggregation_interval: Duration,
    /// How long a counter that gets no more values is reported as zero, so that a graph shows zero and not a gap. Counted
    /// in whole windows; `0s` switches it off.
    pub counter_expiry: Duration,
    /// How many series (name, type, tags and host) are known at once, at least 1. Lines of further ones are dropped with
    /// the reason `context_limit`. A series takes about half a kilobyte, and 900 bytes with its point on the way. What is
    /// set here is reserved of `service.memory_limit`; the default is a safety net, and reserves 20,000 series. Names and tags
    /// of all together may take 1KiB for each of them (at least 1MiB); what is beyond is dropped as well.
    pub max_contexts: usize,
    /// How much memory the values of histograms, timers, distributions and sets may take in a window, at least `64KiB`. When it
    /// is used up, the series with the most values become sketches, which are exact to 1/128, and the largest sets estimates.
    pub max_sample_bytes: ByteSize,
    /// The receive buffer of a UDP or Unix datagram socket, in which datagrams wait while nobody reads; 0 means 4MiB or as much of it as the
    /// system allows. Raise it, and the system's limit, where `hornpipe_statsd_kernel_drops` grows.
    pub socket_buffer_size: ByteSize,
    /// The longest datagram that is read whole, `512B` to `65535B`; of a longer one the last, incomplete line is dropped. Of
    /// streams it is the longest frame or line; longer ones are dropped.
    pub max_datagram_bytes: ByteSize,
    /// Rules that take tags out of names, as the Agent's `dogstatsd_mapper_profiles`. The first rule that matches counts.
    pub mapper_profiles: Vec<MapperProfile>,
    /// What is put before every name, with a dot between, after the mapper.
    pub namespace: String,
    /// Names that begin with one of these get no namespace. The default is the Agent's list.
    pub namespace_exclude: Vec<String>,
    /// Metrics that are dropped, by their name after mapper and namespace, with the reason `filtered`.
    pub metric_blocklist: Vec<String>,
    /// Where it is not empty, only these metrics are taken; all others are dropped with the reason `filtered`.
    pub metric_allowlist: Vec<String>,
    /// Whether the names in `metric_blocklist` and `metric_allowlist` stand for all that begin with them.
    pub metric_list_match_prefix: bool,
    /// Which tags of which metrics are kept. Filters that name the same metric all apply.
    pub metric_tag_filterlist: Vec<TagFilterConfig>,
    /// Gauges that keep reporting their last value while nothing comes.
    pub gauge_hold: GaugeHoldConfig,
    /// Where to send a copy of every packet, as `host:port` over UDP or the absolute path of a Unix datagram socket: another
    /// StatsD server, for the time of a migration. What that one cannot take at once is not sent, and counted.
    pub forward_to: String,
    /// The key of a tag with the IP address of the client, such as `client_ip`; each client's values are series of their own
    /// then. Empty: clients are not told apart. Clients at Unix sockets have no address.
    pub source_address_tag: String,
    /// At Unix sockets, gives every series the container of the process that sent it as a tag `container_id` (Linux; the kernel
    /// names the process, and hornpipe has to see it in `/proc`, in a container with `--pid host`).
    pub origin_detection: bool,
    /// Believes what clients say of their origin (`c:`, `e:`, `card:`, `dd.internal.entity_id`), over any transport, and gives
    /// it to their series as tags. Without it these fields are ignored.
    pub origin_detection_client: bool,
    /// Which tags of the origin there are where the client does not say it with `card:`: `none`, `low`
    /// (`kube_container_name`), `orchestrator` (and `pod_uid`) or `high` (and `container_id`).
    pub tag_cardinality: Cardinality,
    /// Gives every series a tag `metric_type`: `counter`, `gauge`, `timing`, `histogram`, `distribution` or `set`.
    pub enable_metric_type: bool,
    /// Of the Collector. Bare tags are always taken.
    pub enable_simple_tags: Option<bool>,
    /// Of the Collector. The values of all clients are added up, whatever it says.
    pub enable_ip_only_aggregation: Option<bool>,
    /// Of the Collector. Exporters send a counter as monotonic until it shows a negative value, whatever it says.
    pub is_monotonic_counter: Option<bool>,
    /// Of the Collector. Counters keep their fractions, whatever it says.
    pub counter_type: Option<CounterType>,
    /// Of the Collector. Each exporter sends timers, histograms and distributions as its backend takes them, whatever it
    /// says; single series are the `percentiles` processor's.
    pub timer_histogram_mapping: Vec<TimerHistogramMapping>,
}

/// What the clients speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Datadog's.
    #[default]
    Dogstatsd,
    /// That of the first StatsD server.
    Etsy,
}

impl Default for StatsdConfig {
    fn default() -> Self {
        let listener = ListenerConfig::default();
        StatsdConfig {
            dialect: Dialect::Dogstatsd,
            endpoint: listener.endpoint,
            transport: listener.transport,
            framing: listener.framing,
            socket_permissions: listener.socket_permissions,
            readers: listener.readers,
            listeners: Vec::new(),
            max_connections: 1_000,
            aggregation_interval: Duration::from_secs(10),
            counter_expiry: Duration::from_secs(300),
            max_contexts: DEFAULT_CONTEXTS,
            max_sample_bytes: ByteSize::bytes(DEFAULT_SAMPLE_BYTES),
            socket_buffer_size: ByteSize::default(),
            max_datagram_bytes: ByteSize::bytes(LARGEST_DATAGRAM),
            mapper_profiles: Vec::new(),
            namespace: String::new(),
            namespace_exclude: NAMES_WITHOUT_NAMESPACE.map(str::to_owned).to_vec(),
            metric_blocklist: Vec::new(),
            metric_allowlist: Vec::new(),
            metric_list_match_prefix: false,
            metric_tag_filterlist: Vec::new(),
            gauge_hold: GaugeHoldConfig::default(),
            forward_to: String::new(),
            source_address_tag: String::new(),
            origin_detection: false,
            origin_detection_client: false,
            tag_cardinality: Cardinality::default(),
            enable_metric_type: false,
            enable_simple_tags: None,
            enable_ip_only_aggregation: None,
            is_monotonic_counter: None,
            counter_type: None,
            timer_histogram_mapping: Vec::new(),
        }
    }
}

impl ComponentType for StatsdConfig {
    const TYPE: &'static str = "statsd";
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const SUMMARY: &'static str = "takes metrics, service checks and events from StatsD and DogStatsD clients";
}

impl ReceiverConfig for StatsdConfig {
    fn memory(&self) -> ByteSize {
        let contexts = if self.max_contexts == DEFAULT_CONTEXTS { USUAL_CONTEXTS } else { self.max_contexts };
        let series = (contexts as u64).saturating_mul(BYTES_A_SERIES);
        ByteSize::bytes(self.max_sample_bytes.as_bytes().saturating_add(series))
    }

    fn claims(&self) -> Vec<Claim> {
        self.all_listeners().iter().flat_map(|(at, listener)| listener.claims(at)).collect()
    }

    fn validate(&self, report: &mut Report) {
        for (at, listener) in self.all_listeners() {
            listener.validate(&at, report);
        }
        if self.max_connections == 0 {
            report.error("max_connections", "must be at least 1");
        }
        let interval = self.aggregation_interval.get();
        if interval < time::Duration::from_secs(1) || interval.subsec_nanos() > 0 {
            let help = "write 10s, which is what Datadog and its clients expect";
            report.error_with_help("aggregation_interval", "must be whole seconds, at least 1s", help);
        }
        if !(1..=MOST_CONTEXTS).contains(&self.max_contexts) {
            report.error("max_contexts", format!("must be from 1 to {MOST_CONTEXTS}"));
        }
        if self.max_sample_bytes.as_bytes() < LEAST_SAMPLE_BYTES {
            report.error("max_sample_bytes", "must be at least 64KiB");
        }
        if !(SMALLEST_BUFFER..=LARGEST_DATAGRAM).contains(&self.max_datagram_bytes.as_bytes()) {
            report.error("max_datagram_bytes", format!("must be from {SMALLEST_BUFFER} to {LARGEST_DATAGRAM} bytes"));
        }
        if !self.forward_to.is_empty() && !forward::is_path(&self.forward_to) && !is_host_and_port(&self.forward_to) {
            let help = "write host:port, or the absolute path of a Unix datagram socket";
            report.error_with_help("forward_to", "is neither an address nor a path", help);
        }
        if forward::is_path(&self.forward_to) && self.forward_to.len() > LONGEST_PATH {
            report.error_with_help("forward_to", too_long(&self.forward_to), "choose a shorter one");
        }
        self.validate_origin(report);
        self.validate_names(report);
        Naming::compile(self, report);
        GaugeHold::compile(&self.gauge_hold, report);
        collector::warn(self, report);
    }

    fn build(&self, context: BuildContext) -> Result<Box<dyn Receiver>, BuildError> {
        let mut sockets = Vec::new();
        for (at, listener) in self.all_listeners() {
            let opened = listener.open(&context.sockets, self.dialect);
            sockets.extend(opened.map_err(|(option, message)| BuildError::new(format!("{at}{option}"), message))?);
        }
        if self.origin_detection {
            // Clients send as soon as their socket is there, which is before anybody reads it.
            sockets.iter().for_each(Socket::ask_for_processes);
        }
        let forward_to = Some(self.forward_to.as_str()).filter(|target| !target.is_empty());
        let forwarder = forward_to.map(|target| Forwarder::open(target, &sockets, &context.telemetry)).transpose();
        let forwarder = forwarder.map_err(|message| BuildError::new("forward_to", message))?;
        Ok(Box::new(StatsdReceiver::new(self.clone(), context, sockets, forwarder)))
    }
}

impl StatsdConfig {
    fn validate_origin(&self, report: &mut Report) {
        if self.source_address_tag.contains([',', '|', ':', '#', '\n']) {
            report
                .error("source_address_tag", "is no key of a tag: it holds one of `,`, `|`, `:`, `#`, or a line break");
        }
        if self.source_address_tag == "host" || self.source_address_tag.starts_with("dd.internal.") {
            let help = "choose another key, such as `client_ip`";
            let message = "is a tag with a meaning of its own, which is taken out of a series' tags";
            report.error_with_help("source_address_tag", message, help);
        }
        if self.origin_detection && self.tag_cardinality < Cardinality::High {
            let help = "set `tag_cardinality: high`";
            report.warning_with_help(
                "origin_detection",
                "gives no tag: `container_id` is one of high cardinality",
                help,
            );
        }
        let has_unix = self.all_listeners().iter().any(|(_, listener)| listener.transport.is_at_path());
        if self.origin_detection && !has_unix {
            let help = "set `origin_detection_client: true`, or let clients send to a Unix socket";
            report.warning_with_help("origin_detection", "gives no tag: no listener is a Unix socket", help);
        }
    }

    fn validate_names(&self, report: &mut Report) {
        if self.namespace.contains([':', '|', '\n', '\r']) {
            report.error("namespace", "is no beginning of a name: it holds one of `:`, `|`, or a line break");
        }
        let lists = [
            ("namespace_exclude", &self.namespace_exclude),
            ("metric_blocklist", &self.metric_blocklist),
            ("metric_allowlist", &self.metric_allowlist),
        ];
        for (option, names) in lists {
            for (index, _) in names.iter().enumerate().filter(|(_, name)| name.is_empty()) {
                let message = "is empty: no metric has that name, and every name begins with it";
                report.error_with_help(&format!("{option}[{index}]"), message, "remove it");
            }
        }
        for (index, _) in self.metric_blocklist.iter().enumerate().filter(|(_, name)| is_made_by_exporters(name)) {
            let message = "is the name of a series that exporters make of a histogram, and keeps none back: the list is \
                           compared with the names that clients send";
            let help = "name what is wanted of the histogram in the `metrics` of `processors: percentiles`";
            report.warning_with_help(&format!("metric_blocklist[{index}]"), message, help);
        }
    }

    /// All places to listen at, each with what stands before the names of its options.
    fn all_listeners(&self) -> Vec<(String, ListenerConfig)> {
        let own = ListenerConfig {
            endpoint: self.endpoint.clone(),
            transport: self.transport,
            framing: self.framing,
            socket_permissions: self.socket_permissions.clone(),
            readers: self.readers,
        };
        let further = self.listeners.iter().enumerate();
        let further = further.map(|(index, listener)| (format!("listeners[{index}]."), listener.clone()));
        std::iter::once((String::new(), own)).chain(further).collect()
    }
}

/// Whether a name ends as those of series that are made of a histogram. `.count`, `.max` and the like do not tell: clients
/// have such names, too.
fn is_made_by_exporters(name: &str) -> bool {
    let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    let percent = suffix.strip_suffix("percentile").unwrap_or_default();
    suffix == "median" || (!percent.is_empty() && percent.bytes().all(|byte| byte.is_ascii_digit()))
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
    fn the_memory_asked_for_is_what_series_and_samples_may_take() {
        assert_eq!(StatsdConfig::default().memory(), ByteSize::bytes((16 << 20) + 20_000 * BYTES_A_SERIES));
        let small = StatsdConfig { max_contexts: 1_000, max_sample_bytes: ByteSize::mib(1), ..StatsdConfig::default() };
        assert_eq!(small.memory(), ByteSize::bytes((1 << 20) + 1_000 * BYTES_A_SERIES));
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
        assert_eq!(parse(r#"{"dialect": "etsy"}"#).unwrap().dialect, Dialect::Etsy);
        assert!(parse(r#"{"endpont": "x"}"#).is_err());
        let error = parse(r#"{"transport": "sctp"}"#).unwrap_err().to_string();
        assert!(error.contains("`udp`, `udp4`, `udp6`, `tcp`"), "{error}");
        let config =
            parse(r#"{"listeners": [{"endpoint": "/run/a.sock", "transport": "unix", "framing": "newline"}]}"#);
        assert_eq!(config.unwrap().listeners[0].framing, Some(Framing::Newline));
    }

    #[test]
    fn every_place_to_listen_at_is_claimed_by_its_option() {
        let json = r#"{"endpoint": "localhost:1", "listeners": [{"endpoint": "localhost:2", "transport": "tcp6"},
            {"transport": "unixgram"}, {"endpoint": "/run/a.sock", "transport": "unix"}, {"endpoint": "host:3"}]}"#;
        let claims = parse(json).unwrap().claims();
        let claims: Vec<_> = claims.into_iter().map(|claim| (claim.option, format!("{:?}", claim.place))).collect();
        let expected = [
            ("endpoint", "Address(Udp, 127.0.0.1:1)"),
            ("endpoint", "Address(Udp, [::1]:1)"),
            ("listeners[0].endpoint", "Address(Tcp, [::1]:2)"),
            ("listeners[1].endpoint", "Path(\"/var/run/statsd-receiver.sock\")"),
            ("listeners[2].endpoint", "Path(\"/run/a.sock\")"),
            ("listeners[3].endpoint", "Named(Udp, \"host:3\")"),
        ];
        assert_eq!(claims, expected.map(|(option, place)| (option.to_owned(), place.to_owned())));
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
        assert_eq!(config(|c| c.max_sample_bytes = ByteSize::bytes(65_535)), ["max_sample_bytes"]);
        assert_eq!(config(|c| c.max_connections = 0), ["max_connections"]);
        assert_eq!(config(|c| c.max_datagram_bytes = ByteSize::bytes(100)), ["max_datagram_bytes"]);
        assert_eq!(config(|c| c.forward_to = "elsewhere".to_owned()), ["forward_to"]);
        assert_eq!(config(|c| c.forward_to = "/run/dsd.socket".to_owned()), [""; 0]);
        assert_eq!(config(|c| c.mapper_profiles = vec![MapperProfile::default()]).len(), 2);
        assert_eq!(config(|c| c.gauge_hold.metrics = vec!["app.**".to_owned()]), [""; 0]);
        assert_eq!(config(|c| c.source_address_tag = "a:b".to_owned()), ["source_address_tag"]);
        assert_eq!(config(|c| c.source_address_tag = "host".to_owned()), ["source_address_tag"]);
        assert_eq!(config(|c| c.source_address_tag = "dd.internal.x".to_owned()), ["source_address_tag"]);
        assert_eq!(config(|c| c.namespace = "a|b".to_owned()), ["namespace"]);
        assert_eq!(config(|c| c.namespace = "a:b".to_owned()), ["namespace"]);
        assert_eq!(config(|c| c.namespace = "a.b.".to_owned()), [""; 0]);
        assert_eq!(config(|c| c.metric_blocklist = vec!["a".to_owned(), String::new()]), ["metric_blocklist[1]"]);
        for (name, is_warned_of) in [
            ("a.median", true),
            ("a.95percentile", true),
            ("a.99.9percentile", true),
            ("median", false),
            ("a.percentile", false),
            ("a.xpercentile", false),
            ("a.count", false),
        ] {
            let config = StatsdConfig { metric_blocklist: vec![name.to_owned()], ..StatsdConfig::default() };
            assert_eq!(problems(&config).len(), usize::from(is_warned_of), "{name}");
        }
        assert_eq!(config(|c| c.metric_allowlist = vec![String::new()]), ["metric_allowlist[0]"]);
        assert_eq!(config(|c| c.namespace_exclude = vec![String::new()]), ["namespace_exclude[0]"]);
        assert_eq!(config(|c| c.gauge_hold.max_age = Duration::ZERO), ["gauge_hold.max_age"]);
        assert_eq!(config(|c| c.origin_detection = true), ["origin_detection"]);
        assert_eq!(config(|c| c.is_monotonic_counter = Some(false)), ["is_monotonic_counter"]);
        for endpoint in ["", "8125", "localhost", ":8125", "localhost:", "localhost:99999", "::1:8125", "http://x:1"] {
            let config = StatsdConfig { endpoint: endpoint.to_owned(), ..StatsdConfig::default() };
            assert_eq!(problems(&config), ["endpoint"], "{endpoint}");
        }
        for endpoint in ["localhost:8125", "0.0.0.0:8125", "[::]:8125", "statsd.internal:0"] {
            let config = StatsdConfig { endpoint: endpoint.to_owned(), ..StatsdConfig::default() };
            assert_eq!(problems(&config), [""; 0], "{endpoint}");
        }
    }
}
