//! Who sent a line, as tags: the client's address, its container by the kernel's word, and what the client says of itself.
//!
//! A packet is written anew with these tags in its lines before it is taken apart. So it costs nothing where no option asks
//! for it, and lines of different origin are different spellings to all that follows.

mod containers;
mod fields;

use std::io::Write as _;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::StatsdConfig;
use crate::listen::Sender;
use containers::Containers;
use fields::{Claims, Line};

/// How finely origins are told apart, as the Agent's cardinalities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cardinality {
    /// Not at all.
    None,
    /// By the name of the container: `kube_container_name`.
    Low,
    /// By pod as well: `pod_uid`.
    Orchestrator,
    /// By container as well: `container_id`.
    #[default]
    High,
}

impl Cardinality {
    fn parse(name: &[u8]) -> Option<Self> {
        match name {
            b"none" => Some(Cardinality::None),
            b"low" => Some(Cardinality::Low),
            b"orchestrator" => Some(Cardinality::Orchestrator),
            b"high" => Some(Cardinality::High),
            _ => None,
        }
    }
}

/// What tags of the origin are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct OriginTags {
    /// The tag for the client's address; empty for none.
    address: String,
    /// Containers by the kernel's word.
    by_kernel: bool,
    /// What the client says of itself.
    by_client: bool,
    cardinality: Cardinality,
}

impl OriginTags {
    pub(crate) fn of(config: &StatsdConfig) -> Self {
        OriginTags {
            address: config.source_address_tag.clone(),
            by_kernel: config.origin_detection,
            by_client: config.origin_detection_client,
            cardinality: config.tag_cardinality,
        }
    }

    /// Whether the address of every packet's sender is wanted.
    pub(crate) fn wants_addresses(&self) -> bool {
        !self.address.is_empty()
    }

    /// Whether the process that sent every packet is wanted.
    pub(crate) fn wants_processes(&self) -> bool {
        self.by_kernel
    }

    /// The writer of such tags; none where none are wanted.
    pub(crate) fn writer(self) -> Option<OriginWriter> {
        let is_wanted = self.wants_addresses() || self.by_kernel || self.by_client;
        is_wanted.then(|| OriginWriter {
            wanted: self,
            containers: Containers::new(),
            of_sender: Vec::new(),
            container: None,
            packet: Vec::new(),
        })
    }
}

/// Writes packets anew, with tags of their origin. One reader has one.
#[derive(Debug)]
pub(crate) struct OriginWriter {
    wanted: OriginTags,
    containers: Containers,
    /// Tags that all lines of the packet at hand have.
    of_sender: Vec<u8>,
    /// The container that sent it, by the kernel's word.
    container: Option<String>,
    packet: Vec<u8>,
}

impl OriginWriter {
    /// The packet with tags of its origin.
    pub(crate) fn write(&mut self, payload: &[u8], sender: Sender, now: Duration) -> &[u8] {
        self.of_sender.clear();
        self.packet.clear();
        if let Some(address) = sender.address.filter(|_| self.wanted.wants_addresses()) {
            // Writing to memory cannot fail.
            let _ = write!(self.of_sender, "{}:{}", self.wanted.address, address.ip().to_canonical());
        }
        let pid = sender.pid.filter(|_| self.wanted.by_kernel);
        self.container = pid.and_then(|pid| self.containers.of_process(pid, now).map(str::to_owned));
        for (place, line) in payload.split(|byte| *byte == b'\n').enumerate() {
            if place > 0 {
                self.packet.push(b'\n');
            }
            self.write_line(line.strip_suffix(b"\r").unwrap_or(line), now);
        }
        &self.packet
    }

    fn write_line(&mut self, text: &[u8], now: Duration) {
        let Some(line) = Line::parse(text) else { return self.packet.extend_from_slice(text) };
        let claims = if self.wanted.by_client { line.claims() } else { Claims::default() };
        let cardinality = claims.cardinality.unwrap_or(self.wanted.cardinality);
        let mut tags = self.of_sender.clone();
        let mut add = |key: &str, value: &[u8]| {
            if !tags.is_empty() {
                tags.push(b',');
            }
            tags.extend_from_slice(key.as_bytes());
            tags.push(b':');
            tags.extend_from_slice(value);
        };
        if !claims.opts_out {
            if let Some(name) = claims.container_name.filter(|_| cardinality >= Cardinality::Low) {
                add("kube_container_name", name);
            }
            if let Some(pod) = claims.pod.filter(|_| cardinality >= Cardinality::Orchestrator) {
                add("pod_uid", pod);
            }
            if cardinality >= Cardinality::High {
                let claimed = claims.local_data.and_then(|data| self.containers.of_local_data(data, now));
                if let Some(container) = claimed.or(self.container.as_deref()) {
                    add("container_id", container.as_bytes());
                }
            }
        }
        line.write_with_tags(&tags, &mut self.packet);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parse;

    const ID: &str = "3dc2a4c7a3b0f1e2d3c4b5a697887766554433221100ffeeddccbbaa99887766";

    fn write(json: &str, payload: &str, sender: Sender) -> String {
        let mut writer = OriginTags::of(&serde_json::from_str(json).unwrap()).writer().unwrap();
        String::from_utf8(writer.write(payload.as_bytes(), sender, Duration::ZERO).to_vec()).unwrap()
    }

    #[test]
    fn without_an_option_nothing_is_written() {
        assert!(OriginTags::of(&StatsdConfig::default()).writer().is_none());
    }

    #[test]
    fn every_line_of_a_packet_gets_the_address_of_its_client() {
        let sender = Sender { address: Some("[::ffff:10.0.0.7]:4242".parse().unwrap()), pid: None };
        let json = r#"{"source_address_tag": "client_ip"}"#;
        let packet = "a:1|c\r\nb:1|g|#x:1,y|@0.5\n\nbad\n_sc|up|0|#z|m:ok\n_e{3,4}:a|#|b|#c|t:info\n";
        assert_eq!(
            write(json, packet, sender),
            "a:1|c|#client_ip:10.0.0.7\nb:1|g|#x:1,y,client_ip:10.0.0.7|@0.5\n\nbad\n\
             _sc|up|0|#z,client_ip:10.0.0.7|m:ok\n_e{3,4}:a|#|b|#c|t:info|#client_ip:10.0.0.7\n"
        );
        assert_eq!(write(json, "a:1|c", Sender::default()), "a:1|c");
    }

    #[test]
    fn what_a_client_says_of_itself_becomes_tags_as_fine_as_it_wants() {
        let claims = format!("|c:ci-{ID}|e:it-false,cn-web,pu-4f1c");
        let all = format!("|#kube_container_name:web,pod_uid:4f1c,container_id:{ID}");
        for (line, expected) in [
            (format!("a:1|c{claims}"), format!("a:1|c{claims}{all}")),
            (format!("a:1|c|c:{ID}"), format!("a:1|c|c:{ID}|#container_id:{ID}")),
            (format!("a:1|c{claims}|card:none"), format!("a:1|c{claims}|card:none")),
            (format!("a:1|c{claims}|card:low"), format!("a:1|c{claims}|card:low|#kube_container_name:web")),
            (
                format!("a:1|c|#dd.internal.card:orchestrator{claims}"),
                format!("a:1|c|#dd.internal.card:orchestrator,kube_container_name:web,pod_uid:4f1c{claims}"),
            ),
            (
                format!("a:1|c|#dd.internal.card:low|c:ci-{ID}|card:high"),
                format!("a:1|c|#dd.internal.card:low,container_id:{ID}|c:ci-{ID}|card:high"),
            ),
            (
                format!("a:1|c|#dd.internal.entity_id:none{claims}"),
                format!("a:1|c|#dd.internal.entity_id:none{claims}"),
            ),
            (
                "a:1|c|#dd.internal.entity_id:4f1c".to_owned(),
                "a:1|c|#dd.internal.entity_id:4f1c,pod_uid:4f1c".to_owned(),
            ),
            ("a:1|c|card:huge|c:|e:".to_owned(), "a:1|c|card:huge|c:|e:".to_owned()),
            (format!("a:1|c|c:{ID},evil:tag"), format!("a:1|c|c:{ID},evil:tag")),
        ] {
            assert_eq!(write(r#"{"origin_detection_client": true}"#, &line, Sender::default()), expected, "{line}");
        }
        let low = r#"{"origin_detection_client": true, "tag_cardinality": "low"}"#;
        assert_eq!(
            write(low, &format!("a:1|c{claims}"), Sender::default()),
            format!("a:1|c{claims}|#kube_container_name:web")
        );
    }

    proptest! {
        #[test]
        fn any_packet_keeps_its_lines(
            payload in proptest::collection::vec(
                prop_oneof![any::<u8>(), proptest::sample::select(&b"\n|#:,_esc{}1Tcgms@"[..])], 0..120),
        ) {
            let sender = Sender { address: Some(([10, 0, 0, 7], 1).into()), pid: Some(u32::MAX) };
            let json = r#"{"source_address_tag": "ip", "origin_detection": true, "origin_detection_client": true}"#;
            let mut writer = OriginTags::of(&serde_json::from_str(json).unwrap()).writer().unwrap();
            let written = writer.write(&payload, sender, Duration::ZERO);
            let lines = |bytes: &[u8]| -> Vec<Vec<u8>> {
                bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec()).collect()
            };
            let (before, after) = (lines(&payload), lines(written));
            prop_assert_eq!(before.len(), after.len());
            for (before, after) in before.iter().zip(&after) {
                let (mut one, mut other) = (Vec::new(), Vec::new());
                let (before, after) = (parse::sample(before, &mut one), parse::sample(after, &mut other));
                prop_assert_eq!(before.map(|sample| (sample.name, sample.kind)), after.map(|sample| (sample.name, sample.kind)));
                prop_assert_eq!(one, other);
            }
        }
    }

    #[test]
    fn a_process_without_a_container_gets_no_tag() {
        let sender = Sender { address: None, pid: Some(u32::MAX) };
        assert_eq!(write(r#"{"origin_detection": true}"#, "a:1|c|c:ci-x", sender), "a:1|c|c:ci-x");
    }
}
