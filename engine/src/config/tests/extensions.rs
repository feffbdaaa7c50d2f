//! The `extensions` section and `service.extensions`.

use hornpipe_model::Signal;
use schemars::JsonSchema;
use serde::Deserialize;

use super::*;
use crate::component::{BuildError, ComponentType, Extension, ExtensionConfig, ExtensionContext};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Probe {
    endpoint: String,
}

impl ComponentType for Probe {
    const TYPE: &'static str = "probe";
    const SIGNALS: &'static [Signal] = &[];
    const SUMMARY: &'static str = "for tests";
}

impl ExtensionConfig for Probe {
    fn validate(&self, report: &mut Report) {
        if self.endpoint.is_empty() {
            report.error("endpoint", "is missing");
        }
    }

    fn build(&self, _: ExtensionContext) -> Result<Box<dyn Extension>, BuildError> {
        Err(BuildError::new("", "not built in tests"))
    }
}

/// Plans a configuration with these two sections: the ids of the extensions, or what is printed.
fn plan(extensions: &str, service: &str) -> Result<Vec<String>, String> {
    let text = format!(
        "receivers: {{statsd: {{interval: 1s}}}}\nexporters: {{otlp: {{api_key: k}}}}\nextensions: {extensions}\n\
         service: {{extensions: {service}, pipelines: {{metrics: {{receivers: [statsd], exporters: [otlp]}}}}}}\n"
    );
    let environment = FixedEnvironment::new().with_variable("NAMES", "[probe/zz]");
    let registry = planning::registry().extension::<Probe>();
    let (plan, diagnostics) = load(&[source(&text)], &environment, &registry);
    match plan {
        Some(plan) => Ok(plan.extensions.into_iter().map(|planned| planned.id).collect()),
        None => Err(diagnostics.to_string()),
    }
}

#[test]
fn those_that_the_service_names_run_in_its_order_and_the_others_need_not_be_complete() {
    let three = "{probe: {endpoint: a}, probe/b: {endpoint: b}, probe/unused: {}}";
    assert_eq!(plan(three, "[probe/b, probe]").unwrap(), ["probe/b", "probe"]);
    for none in ["[]", ""] {
        assert!(plan(three, none).unwrap().is_empty());
    }
    assert!(plan("", "").unwrap().is_empty());
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    for (extensions, service, error, help) in [
        ("{prob: }", "", "unknown extension type `prob`", "did you mean `probe`?"),
        ("{probe: {endpont: a}}", "", "unknown key `endpont`", "did you mean `endpoint`?"),
        ("{probe: }", "[probe]", "is missing", ""),
        ("{probe/eu: }", "[probe/ue]", "extension `probe/ue` is not defined", "did you mean `probe/eu`?"),
        ("", "[probe]", "extension `probe` is not defined", "add `probe:` under `extensions`"),
        ("", "[health]", "extension `health` is not defined", "defined extensions: none"),
        ("{probe/z: }", "\"${env:NAMES}\"", "extension number 1 of `${env:NAMES}` is not defined", "probe/z"),
        ("{probe: {endpoint: a}}", "[probe, probe]", "extension `probe` is listed twice", "list it once"),
        ("{probe: {endpoint: a}}", "{probe: }", "expected a list, found a mapping", "write `[a, b]`"),
    ] {
        let printed = plan(extensions, service).unwrap_err();
        assert!(printed.contains(&format!("error: {error}\n")), "{extensions} {service}\n{printed}");
        assert!(printed.contains(help), "{extensions} {service}\n{printed}");
        assert!(!printed.contains("zz"), "a value from outside is printed:\n{printed}");
    }
}
