//! Tags from Datadog's and OpenTelemetry's variables.

use super::*;

fn environment(variables: &[(&str, &str)]) -> FixedEnvironment {
    variables.iter().fold(FixedEnvironment::new(), |environment, (name, value)| environment.with_variable(name, value))
}

#[test]
fn variables_become_tags_and_datadogs_win() {
    let otel = ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=o-env,service.name=o-svc,service.version=o-1");
    for (variables, expected) in [
        (&[][..], "a"),
        (&[("DD_ENV", "prod"), ("DD_SERVICE", "web"), ("DD_VERSION", "1.2")], "a|env:prod,service:web,version:1.2"),
        (&[("DD_ENV", " "), ("DD_SERVICE", "")], "a"),
        (&[otel], "a|env:o-env,service:o-svc,version:o-1"),
        (&[otel, ("OTEL_SERVICE_NAME", "svc")], "a|env:o-env,service:svc,version:o-1"),
        (&[otel, ("OTEL_SERVICE_NAME", "svc"), ("DD_SERVICE", "web")], "a|env:o-env,service:web,version:o-1"),
        (&[otel, ("DD_TAGS", "env:tags team:web")], "a|env:tags,service:o-svc,team:web,version:o-1"),
        (&[("DD_TAGS", "env:tags"), ("DD_ENV", "prod")], "a|env:prod"),
        // Spaces or commas; a key may repeat, a tag may be bare; the host is not one.
        (&[("DD_TAGS", "team:a, team:b canary,,k:v:w host:x")], "a|canary,k:v:w,team:a,team:b"),
        // The convention's old name, other attributes, and what is a matter of the resource.
        (&[("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=old")], "a|env:old"),
        (&[("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=new,deployment.environment=old")], "a|env:new"),
        (
            &[("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=p%2D1 ,host.name=h,service.instance.id=i,empty=,broken")],
            "a|k8s.pod.name:p-1",
        ),
    ] {
        let mut processor = processor_in("from_environment: true", &environment(variables));
        assert_eq!(tagged(&mut processor, "a"), expected, "{variables:?}");
    }
}

#[test]
fn what_a_client_says_of_itself_stays() {
    let variables = environment(&[("DD_ENV", "prod"), ("DD_TAGS", "team:a team:b")]);
    let mut processor = processor_in("from_environment: true", &variables);
    assert_eq!(tagged(&mut processor, "a|env:dev"), "a|env:dev,team:a,team:b");
    assert_eq!(tagged(&mut processor, "a|team:own"), "a|env:prod,team:own");
}

#[test]
fn actions_come_after_the_environment() {
    let variables = environment(&[("DD_ENV", "prod"), ("DD_TAGS", "secret:x team:web")]);
    let mut processor = processor_in(
        "from_environment: true
actions:
- {action: default, tag: env, value: dev}
- {action: remove, tag: secret}
- {action: rename, from: team, to: owner}
",
        &variables,
    );
    assert_eq!(tagged(&mut processor, "a"), "a|env:prod,owner:web");
}

#[test]
fn the_environment_is_off_unless_asked_for() {
    let mut processor = processor_in("actions: []", &environment(&[("DD_ENV", "prod")]));
    assert_eq!(tagged(&mut processor, "a"), "a");
}

#[test]
fn a_variable_that_cannot_be_used_is_an_error() {
    struct Broken;
    impl Environment for Broken {
        fn variable(&self, name: &str) -> Result<Option<String>, String> {
            if name == "DD_TAGS" { Err("its value is not UTF-8".to_owned()) } else { Ok(None) }
        }
        fn file(&self, _path: &str) -> Result<String, String> {
            unreachable!()
        }
    }
    let config = TaggingConfig { from_environment: true, ..TaggingConfig::default() };
    let error = Tagging::new(&config, &Broken, None).err().unwrap();
    assert_eq!(error.option, "from_environment");
    assert_eq!(error.message, "cannot use `DD_TAGS`: its value is not UTF-8");
}
