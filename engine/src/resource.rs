//! Who this process is: the attributes that go with everything it makes.

mod container;
mod host_name;

use std::path::Path;

use hornpipe_model::Resource;

pub use host_name::{HostName, HostNameSource, NO_HOST_NAME, is_host_name};

/// Looks up an environment variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Looks up a variable of this process's environment.
pub fn process_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The attributes of this process.
///
/// `host.name` is `host`'s, and absent where that has none.
///
/// `service.instance.id` is the one in `OTEL_RESOURCE_ATTRIBUTES`, else it is derived from the host name and the
/// absolute path of the configuration file: the same after a restart, and another one for a second process with its
/// own file on the same host. Where the host has no name, the operating system's name takes its place here: two
/// containers with the same file must not have one id, or a backend would mix up their running totals. Where that name
/// changes with every start of a container, so does the id.
pub fn process_resource(host: &HostName, configuration: &Path, environment: Lookup<'_>) -> Resource {
    resource(host, configuration, environment, host_name::system_name)
}

fn resource(
    host: &HostName,
    configuration: &Path,
    environment: Lookup<'_>,
    system: impl FnOnce() -> Option<String>,
) -> Resource {
    let attributes = environment("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let instance = non_empty(attribute(&attributes, Resource::SERVICE_INSTANCE_ID)).unwrap_or_else(|| {
        let machine = host.name.clone().or_else(system);
        instance_id(machine.as_deref().unwrap_or_default(), configuration)
    });
    let mut resource = Resource::default();
    if let Some(name) = &host.name {
        resource.set(Resource::HOST_NAME, name.as_str());
    }
    resource.set(Resource::SERVICE_INSTANCE_ID, instance.as_str());
    resource
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The keys and values of `key=value,key=value`, where values are percent-encoded (the OpenTelemetry specification's
/// format for `OTEL_RESOURCE_ATTRIBUTES`). Of a repeated key the last value counts.
pub fn attributes(list: &str) -> impl DoubleEndedIterator<Item = (&str, String)> {
    let pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.trim(), percent_decode(value.trim())))
}

fn attribute(list: &str, name: &str) -> Option<String> {
    attributes(list).rfind(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Decodes `%41` to `A`; text that is not well encoded stays as it is.
fn percent_decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, after) = match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => (high * 16 + low, after),
                _ => return text.to_owned(),
            },
            _ => (*first, tail),
        };
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A UUID of version 8 (RFC 9562: custom) out of a hash that stays the same over versions and machines.
fn instance_id(host: &str, configuration: &Path) -> String {
    let absolute = std::path::absolute(configuration).unwrap_or_else(|_| configuration.to_owned());
    let mut bytes = host.as_bytes().to_vec();
    // No host name and no path holds a zero byte, so that the two cannot run into each other.
    bytes.push(0);
    bytes.extend_from_slice(absolute.as_os_str().as_encoded_bytes());
    let hash = fnv1a_128(&bytes);
    let version_and_variant = (hash & !(0xf << 76) & !(0x3 << 62)) | (0x8 << 76) | (0x2 << 62);
    let digits = format!("{version_and_variant:032x}");
    let (a, rest) = digits.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// The 128-bit FNV-1a hash.
pub(crate) fn fnv1a_128(bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/etc/hornpipe/pipeline.yaml";

    fn host(name: Option<&str>) -> HostName {
        let source = if name.is_some() { HostNameSource::Option } else { HostNameSource::Container };
        HostName { name: name.map(str::to_owned), source, variable_ignored: false }
    }

    /// The resource of a process on a host of a name, or in a container whose own name is `system`.
    fn process(name: Option<&str>, system: &str, file: &str) -> Resource {
        resource(&host(name), Path::new(file), &|_| None, || Some(system.to_owned()))
    }

    fn instance(resource: &Resource) -> String {
        resource.get(Resource::SERVICE_INSTANCE_ID).and_then(|value| value.as_str()).unwrap().to_owned()
    }

    #[test]
    fn the_instance_is_stable_and_differs_by_host_and_file() {
        let first = instance(&process(Some("web-1"), "", FILE));
        assert_eq!(first, instance(&process(Some("web-1"), "changed", FILE)));
        assert_ne!(first, instance(&process(Some("web-2"), "", FILE)));
        assert_ne!(first, instance(&process(Some("web-1"), "", "/etc/hornpipe/second.yaml")));
        // A change of this value changes the identity of every running process at its next update.
        assert_eq!(first, "9c7e2d20-191e-8805-beff-b2024e4ef438");
    }

    #[test]
    fn a_container_without_a_host_name_has_an_instance_of_its_own() {
        let one = process(None, "3dc2a4f0b1c9", FILE);
        assert_eq!(one.host(), None);
        assert_eq!(one, process(None, "3dc2a4f0b1c9", FILE), "the same after a restart");
        assert_ne!(instance(&one), instance(&process(None, "81f0c2d3e4a5", FILE)));
    }

    #[test]
    fn a_relative_path_means_the_same_file_as_its_absolute_form() {
        let absolute = std::path::absolute("pipeline.yaml").unwrap();
        let relative = process(Some("web-1"), "", "pipeline.yaml");
        assert_eq!(relative, process(Some("web-1"), "", absolute.to_str().unwrap()));
    }

    #[test]
    fn the_instance_has_the_shape_of_a_uuid() {
        let instance = instance(&process(Some("web-1"), "", FILE));
        let lengths: Vec<usize> = instance.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(instance.as_bytes()[14], b'8', "version 8: {instance}");
        assert!(matches!(instance.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "variant: {instance}");
    }

    #[test]
    fn a_given_instance_is_taken_as_it_is() {
        let given =
            |name: &str| (name == "OTEL_RESOURCE_ATTRIBUTES").then(|| "service.instance.id=my%20instance".to_owned());
        let resource = resource(&host(Some("web-1")), Path::new(FILE), &given, || None);
        assert_eq!(instance(&resource), "my instance");
    }

    #[test]
    fn badly_encoded_values_stay_as_they_are() {
        for text in ["50%", "%zz", "%ff", "a=b"] {
            assert_eq!(percent_decode(text), text);
        }
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a_128(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(fnv1a_128(b"foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
    }

    #[test]
    fn this_machine_has_an_identity() {
        let host = HostName::detect(None, &|_| None);
        let resource = process_resource(&host, Path::new(FILE), &|_| None);
        assert!(resource.get(Resource::SERVICE_INSTANCE_ID).is_some());
    }
}
