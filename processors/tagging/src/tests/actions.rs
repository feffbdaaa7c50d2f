//! What each action does to tags.

use std::borrow::Cow;

use super::*;

#[test]
fn each_action_changes_the_tags_that_it_names() {
    for (action, before, after) in [
        // default: only where the key is missing.
        ("{action: default, tag: env, value: prod}", "a", "a|env:prod"),
        ("{action: default, tag: env, value: prod}", "a|env:dev", "a|env:dev"),
        ("{action: default, tag: env, value: prod}", "a|env", "a|env"),
        ("{action: default, tag: env, value: prod}", "a|environment:dev", "a|env:prod,environment:dev"),
        ("{action: default, tag: canary}", "a", "a|canary"),
        // add: one more.
        ("{action: add, tag: team, value: web}", "a|team:api", "a|team:api,team:web"),
        ("{action: add, tag: team, value: web}", "a|team:web", "a|team:web"),
        ("{action: add, tag: canary}", "a|b:1", "a|b:1,canary"),
        ("{action: add, tag: url, value: 'http://x:1'}", "a", "a|url:http://x:1"),
        ("{action: add, tag: build, value: 0123}", "a", "a|build:0123"),
        // set: the only one of its key.
        ("{action: set, tag: region, value: eu}", "a|region:us,region:asia,b", "a|b,region:eu"),
        ("{action: set, tag: region, value: eu}", "a|region", "a|region:eu"),
        ("{action: set, tag: region, value: eu}", "a", "a|region:eu"),
        // remove: by key, exactly, by pattern.
        ("{action: remove, tag: debug_id}", "a|debug_id:1,debug_id:2,debug_id,debug_ids:3", "a|debug_ids:3"),
        ("{action: remove, tag: k, value: v}", "a|k:v,k:vv,k", "a|k,k:vv"),
        ("{action: remove, pattern: 'debug_.*'}", "a|debug_a:1,debug_b,my_debug_c", "a|my_debug_c"),
        ("{action: remove, pattern: 'k:[0-9]+'}", "a|k:1,k:1x", "a|k:1x"),
        // rename: values stay, and join those of the new key.
        ("{action: rename, from: status_code, to: code}", "a|status_code:200,code:x", "a|code:200,code:x"),
        ("{action: rename, from: bare, to: key}", "a|bare,bare_2", "a|bare_2,key"),
        // The host's name.
        ("{action: add, tag: node, value_from: host}", "a", "a|node:web-1"),
    ] {
        let mut processor = processor(&format!("actions: [{action}]"));
        for _window in 0..2 {
            assert_eq!(tagged(&mut processor, before), after, "{action} on {before}");
        }
    }
}

#[test]
fn an_empty_value_does_nothing() {
    let environment = FixedEnvironment::new().with_variable("EMPTY", "");
    for value in ["", "${env:UNSET:-}", "${env:EMPTY}"] {
        for action in ["default", "add", "set", "remove"] {
            for quote in ["\"", "'"] {
                let text = format!("actions:\n- action: {action}\n  tag: env\n  value: {quote}{value}{quote}\n");
                let mut processor = processor_in(&text, &environment);
                assert_eq!(tagged(&mut processor, "a|env:dev"), "a|env:dev", "{text}");
            }
        }
    }
    let mut unquoted = processor("actions:\n- action: add\n  tag: env\n  value: ${env:UNSET:-}\n");
    assert_eq!(tagged(&mut unquoted, "a"), "a");
    let config = config("actions: [{action: set, tag: node, value_from: host}]", &environment);
    let mut without_host = Tagging::new(&config, &environment, None).unwrap();
    assert_eq!(tagged(&mut without_host, "a|node:x"), "a|node:x");
}

#[test]
fn actions_run_in_order_and_each_sees_what_came_before() {
    let mut processor = processor(
        "actions:
- {action: rename, from: environment, to: env}
- {action: default, tag: env, value: prod}
- {action: remove, tag: env, value: test}
- {action: set, tag: seen, value: all}
",
    );
    assert_eq!(tagged(&mut processor, "a|environment:dev"), "a|env:dev,seen:all");
    assert_eq!(tagged(&mut processor, "a|environment:test"), "a|seen:all");
    assert_eq!(tagged(&mut processor, "a"), "a|env:prod,seen:all");
}

#[test]
fn patterns_limit_an_action_or_all_of_them() {
    let mut processor = processor(
        "metrics: ['gunicorn.**', 'app.**']
actions:
- {action: add, tag: one}
- {action: add, tag: two, metrics: [gunicorn.*, 'app.*.time']}
",
    );
    for (before, after) in [
        ("gunicorn.requests", "gunicorn.requests|one,two"),
        ("gunicorn.request.status.200", "gunicorn.request.status.200|one"),
        ("app.cart.time", "app.cart.time|one,two"),
        ("other", "other"),
    ] {
        assert_eq!(tagged(&mut processor, before), after);
    }
}

#[test]
fn patterns_are_regular_expressions_where_asked() {
    let mut processor =
        processor("{match_type: regex, metrics: ['a\\.(b|c)'], actions: [{action: add, tag: x, metrics: ['.*b']}]}");
    for (before, after) in [("a.b", "a.b|x"), ("a.c", "a.c"), ("x.a.b", "x.a.b")] {
        assert_eq!(tagged(&mut processor, before), after);
    }
}

#[test]
fn the_host_that_a_client_named_is_a_tag_like_others() {
    for (action, before, after) in [
        ("{action: default, tag: host, value: h}", None, Some("h")),
        ("{action: default, tag: host, value: h}", Some("own"), Some("own")),
        ("{action: default, tag: host, value: h}", Some(""), Some("")),
        ("{action: add, tag: host, value: h}", Some("own"), Some("h")),
        ("{action: set, tag: host, value: h}", Some("own"), Some("h")),
        ("{action: remove, tag: host}", Some("own"), None),
        ("{action: rename, from: node, to: host}", None, Some("n")),
    ] {
        let mut processor = processor(&format!("actions: [{action}]"));
        let tags: Tags = ["node:n"].into_iter().collect();
        let context = Arc::new(Context::with_unit("a", tags, before, Cow::Borrowed("")));
        let points = run_points(&mut processor, vec![point(context, MetricValue::Gauge(1.0))]);
        assert_eq!(points[0].context.host(), after, "{action} on {before:?}");
        assert!(!series(&points[0].context).contains("host:"));
    }
    let mut processor = processor("actions: [{action: rename, from: host, to: machine}]");
    let context = Arc::new(Context::with_unit("a", Tags::default(), Some("own"), Cow::Borrowed("")));
    let points = run_points(&mut processor, vec![point(context, MetricValue::Gauge(1.0))]);
    assert_eq!((series(&points[0].context).as_str(), points[0].context.host()), ("a|machine:own", None));
}

#[test]
fn what_does_not_change_keeps_its_context_and_its_batch() {
    let mut processor = processor("actions: [{action: default, tag: env, value: prod}]");
    let has_env = count("a|env:dev", 1.0);
    let batch = metrics(vec![has_env.clone(), has_env.clone()]);
    let Data::Metrics(before) = batch.data().clone() else { unreachable!() };
    let Some(Data::Metrics(after)) = run(&mut processor, batch).map(|batch| batch.data().clone()) else {
        unreachable!()
    };
    assert!(Arc::ptr_eq(&before, &after), "nothing was copied");

    let points = run_points(&mut processor, vec![has_env.clone(), count("b", 1.0)]);
    assert!(Arc::ptr_eq(&points[0].context, &has_env.context));
    let again = run_points(&mut processor, vec![count("b", 1.0)]);
    assert!(Arc::ptr_eq(&points[1].context, &again[0].context), "new contexts live across windows");
}

#[test]
fn the_unit_stays_with_its_series() {
    let mut processor = processor("actions: [{action: add, tag: x}]");
    let own = Arc::new(Context::with_unit("a", Tags::default(), None, Cow::Borrowed("By")));
    let points = run_points(&mut processor, vec![point(own, MetricValue::Gauge(1.0)), count("gunicorn.requests", 1.0)]);
    assert_eq!(points.iter().map(|point| point.context.unit()).collect::<Vec<_>>(), ["By", "{request}"]);
}
