//! Tags out of metric names.

use super::*;

const STATUS: &str = r"{action: extract, pattern: 'gunicorn\.request\.status\.(\d+)', name: gunicorn.request.status,
                        tag: status_code}";

#[test]
fn tags_are_taken_out_of_the_name() {
    for (action, before, after) in [
        (STATUS, "gunicorn.request.status.404|env:p", "gunicorn.request.status|env:p,status_code:404"),
        (STATUS, "gunicorn.request.status.x", "gunicorn.request.status.x"),
        (STATUS, "my.gunicorn.request.status.404", "my.gunicorn.request.status.404"),
        // Without a new name the name stays.
        (r"{action: extract, pattern: '(\w+)\..*', tag: app}", "cart.time", "cart.time|app:cart"),
        // Groups in names and values.
        (
            r"{action: extract, pattern: '(\w+)\.(\d)(\d\d)', name: $1.by_class, tag: class, value: $2xx}",
            "status.404",
            "status.by_class|class:4xx",
        ),
        (
            r"{action: extract, pattern: '(\w+)\.(\w+)', name: '$2_$1', tag: kind, value: fixed}",
            "a.b",
            "b_a|kind:fixed",
        ),
        // Named groups are tags; one without text is none.
        (r"{action: extract, pattern: 'w\.(?<pid>\d+)\.(?<what>\w+)', name: w}", "w.12.rss", "w|pid:12,what:rss"),
        (r"{action: extract, pattern: 'a(?<n>\d)?', name: a}", "a", "a"),
        // A name that would be empty stays, and a tag of the client's stays too.
        (r"{action: extract, pattern: 'a(x)?', name: $1}", "a", "a"),
        (r"{action: extract, pattern: 's\.(\d+)', tag: code}", "s.1|code:2", "s.1|code:1,code:2"),
    ] {
        let mut processor = processor(&format!("actions: [{action}]"));
        assert_eq!(tagged(&mut processor, before), after, "{action} on {before}");
    }
}

#[test]
fn a_host_in_the_name_becomes_the_points_host() {
    let mut processor =
        processor(r"actions: [{action: extract, pattern: 'servers\.([^.]+)\.(.*)', name: $2, tag: host}]");
    let points = run_points(&mut processor, vec![count("servers.db-1.load.avg", 1.0)]);
    assert_eq!((points[0].context.name(), points[0].context.host()), ("load.avg", Some("db-1")));
    assert!(points[0].context.tags().is_empty());
}

#[test]
fn later_actions_see_the_new_name() {
    let mut processor = processor(&format!(
        "actions: [{STATUS}, {{action: add, tag: new, metrics: [gunicorn.request.status]}}, {{action: add, tag: old, metrics: \
         ['gunicorn.request.status.*']}}]"
    ));
    let expected = "gunicorn.request.status|new,status_code:200";
    assert_eq!(tagged(&mut processor, "gunicorn.request.status.200"), expected);
}

#[test]
fn the_unit_is_the_one_asked_for_or_known_for_the_new_name_or_stays() {
    for (name, unit, before, expected) in [
        ("gunicorn.requests", "", "x.1", "{request}"),
        ("gunicorn.request.status", "", "gunicorn.request.status.200", "{request}"),
        ("unknown", "", "x.1", ""),
        ("unknown", "By", "gunicorn.request.status.200", "By"),
        ("gunicorn.requests", "{call}", "x.1", "{call}"),
    ] {
        let mut processor =
            processor(&format!("actions: [{{action: extract, pattern: '.*', name: {name}, unit: '{unit}'}}]"));
        let points = run_points(&mut processor, vec![count(before, 1.0)]);
        assert_eq!((points[0].context.name(), points[0].context.unit()), (name, expected), "{before}");
    }
}
