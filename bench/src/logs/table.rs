//! Prints what was measured.

use std::io::{self, Write};

use super::compare::{Figures, IDLE_FILES, Outcome, Plan, Row, STEADY_DATAGRAMS, STEADY_LINES, To, Verdict, Workload};
use super::lines::LENGTH;
use crate::subject::Subject;

pub(super) fn write(plan: &Plan, workload: Workload, rows: &[(Row, Outcome)], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n**{}**\n", heading(plan, workload))?;
    let columns = match workload {
        Workload::Backlog | Workload::Outage => {
            "lines/s | CPU µs/line | lines/s a core | peak MiB | lost | repeated | out of order | lines a request"
        }
        Workload::Steady | Workload::BesideStatsd => {
            "lines/s | CPU, cores | RSS MiB | peak MiB | lost | repeated | out of order | lines a request"
        }
        Workload::Idle => "CPU, % of a core | RSS MiB | peak MiB",
    };
    let count = columns.split('|').count();
    writeln!(out, "| program | {columns} |\n|---|{}", "---|".repeat(count))?;
    for (row, outcome) in rows {
        match outcome {
            Err(reason) => writeln!(out, "| {} | {reason} |{}", name(row), " |".repeat(count - 1))?,
            Ok(figures) => writeln!(out, "| {} | {} |", name(row), cells(workload, figures))?,
        }
    }
    write_notes(workload, rows, out)
}

fn heading(plan: &Plan, workload: Workload) -> String {
    let Plan { rounds, seconds, lines, .. } = plan;
    let backlog = format!("{lines} lines of {LENGTH} B; medians of {rounds}");
    let steady = format!("{STEADY_LINES} lines/s, a write each");
    match workload {
        Workload::Backlog => format!("a backlog of {backlog}; a Collector with its queue on disk has a tenth of it"),
        Workload::Outage => format!("one of two backends down, a backlog of {backlog}"),
        Workload::Steady => format!("{steady}; medians of {rounds} × {seconds} s"),
        Workload::BesideStatsd => {
            format!("{steady}, beside {STEADY_DATAGRAMS} StatsD datagrams/s; medians of {rounds} × {seconds} s")
        }
        Workload::Idle => format!("{IDLE_FILES} files that nobody writes to; medians of {rounds} × {seconds} s"),
    }
}

fn name(row: &Row) -> String {
    let to = match row.to {
        To::Datadog => "datadog",
        To::Otlp => "otlp",
        To::Both => "datadog and otlp",
        To::DatadogWhileOtlpIsDown => "datadog, and otlp, which is down",
    };
    let kind = match (row.takes_statsd, row.takes_logs) {
        (true, true) => ", logs and StatsD",
        (true, false) => ", StatsD alone",
        (false, _) => "",
    };
    let queue = match (row.subject, row.durable) {
        (Subject::Hornpipe, false) => ", queue in memory",
        (Subject::Otelcol, true) => ", queue and checkpoints on disk",
        _ => "",
    };
    format!("{} → {to}{kind}{queue}", row.subject.name())
}

fn cells(workload: Workload, figures: &Figures) -> String {
    let Figures { cores, rate, memory, verdict, lines_a_request } = figures;
    let Verdict { lost, repeated, out_of_order, foreign } = verdict;
    let lost = if *foreign > 0 { format!("{lost} ({foreign} changed)") } else { lost.to_string() };
    let (resident, peak) = (memory.resident, memory.peak);
    let lines = format!("{lost} | {repeated} | {out_of_order} | {lines_a_request:.0}");
    match workload {
        Workload::Backlog | Workload::Outage => {
            let (micros, per_core) = (cores / rate * 1e6, rate / cores);
            format!("{rate:.0} | {micros:.2} | {per_core:.0} | {peak:.1} | {lines}")
        }
        Workload::Steady | Workload::BesideStatsd => {
            format!("{rate:.0} | {cores:.4} | {resident:.1} | {peak:.1} | {lines}")
        }
        Workload::Idle => format!("{:.3} | {resident:.1} | {peak:.1}", cores * 100.0),
    }
}

/// What follows from two rows.
fn write_notes(workload: Workload, rows: &[(Row, Outcome)], out: &mut impl Write) -> io::Result<()> {
    let cost = |wanted: &dyn Fn(&Row) -> bool| {
        let (_, outcome) = rows.iter().find(|(row, _)| wanted(row))?;
        let figures = outcome.as_ref().ok()?;
        Some(if workload == Workload::Backlog { figures.cores / figures.rate } else { figures.cores })
    };
    if workload == Workload::BesideStatsd {
        if let (Some(both), Some(alone)) = (cost(&|row| row.takes_logs), cost(&|row| !row.takes_logs)) {
            writeln!(out, "\nThe logs cost {:.4} of a core more.", both - alone)?;
        }
        return Ok(());
    }
    let otlp = |subject, durable| {
        cost(&|row| row.subject == subject && row.to == To::Otlp && row.durable == durable && row.takes_logs)
    };
    for (durable, place) in [(true, "on disk"), (false, "in memory")] {
        if let (Some(peer), Some(ours)) = (otlp(Subject::Otelcol, durable), otlp(Subject::Hornpipe, durable)) {
            let times = peer / ours;
            writeln!(
                out,
                "\nWith queues {place}, otelcol needs {times:.1} times the processor time of hornpipe → otlp."
            )?;
        }
    }
    if let (Some(peer), Some(ours)) = (otlp(Subject::Otelcol, false), otlp(Subject::Hornpipe, true)) {
        let times = peer / ours;
        writeln!(out, "\nWith its queue in memory and hornpipe's on disk, otelcol needs {times:.1} times as much.")?;
    }
    Ok(())
}
