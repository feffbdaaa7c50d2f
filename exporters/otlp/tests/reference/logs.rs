//! Log records.

use std::collections::HashMap;
use std::sync::Arc;

use hornpipe_model::{Event, Log, LogBatch, LogSource, Resource};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};

use super::envelope::{only, resource, scope};
use super::record::{log_record, source_attributes};

type Replaced<'a> = [(&'static str, Option<&'a str>); 5];

/// The message.
pub fn message(batch: &LogBatch, items: &[u32]) -> ExportLogsServiceRequest {
    let mut groups: Vec<(Replaced<'_>, Vec<LogRecord>)> = Vec::new();
    let mut by_owner = HashMap::new();
    // Neighbours share a source.
    let mut last: Option<(&Arc<LogSource>, Vec<KeyValue>)> = None;
    for log in items.iter().filter_map(|&item| batch.records.get(item as usize)) {
        let of_source = match last.take() {
            Some((source, attributes)) if Arc::ptr_eq(source, &log.source) => attributes,
            _ => source_attributes(&log.source),
        };
        let record = log_record(log, &of_source);
        last = Some((&log.source, of_source));
        let owner = owner(log);
        let group = *by_owner.entry(owner).or_insert_with(|| {
            groups.push((owner, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(record);
    }
    ExportLogsServiceRequest {
        resource_logs: groups.into_iter().map(|(owner, records)| resource_logs(batch, owner, records)).collect(),
    }
}

fn owner(log: &Log) -> Replaced<'_> {
    let named = |text: &str| !text.is_empty();
    let source = &log.source;
    let service = Some(source.service.as_str()).filter(|text| named(text)).or_else(|| only(&source.tags, "service"));
    [
        (Resource::SERVICE_NAME, service),
        (Resource::SERVICE_VERSION, only(&source.tags, "version")),
        (Resource::DEPLOYMENT_ENVIRONMENT_NAME, only(&source.tags, "env")),
        (Resource::LOG_SOURCE, Some(source.source.as_str()).filter(|text| named(text))),
        (Resource::HOST_NAME, Event::host_of(log)),
    ]
}

fn resource_logs(batch: &LogBatch, owner: Replaced<'_>, log_records: Vec<LogRecord>) -> ResourceLogs {
    let scoped =
        ScopeLogs { scope: Some(scope(&batch.scope)), log_records, schema_url: batch.scope.schema_url.clone() };
    ResourceLogs {
        resource: Some(resource(&batch.resource, &owner)),
        scope_logs: vec![scoped],
        schema_url: batch.resource.schema_url.clone(),
    }
}
