//! The instruments: observable ones that read the components' counters when somebody asks.

use std::collections::BTreeSet;
use std::sync::Mutex;

use hornpipe_model::Signal;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};

use super::{ComponentIdentity, ComponentKind, ComponentTelemetry, Level, SignalCounters, Telemetry, process};
use crate::component::reason;
use crate::lock;

/// A counter under the Collector's name, which has one metric for each signal.
struct CollectorCounter {
    kind: ComponentKind,
    name: &'static str,
    description: &'static str,
    read: fn(&SignalCounters) -> u64,
}

const COLLECTOR_COUNTERS: [CollectorCounter; 5] = [
    CollectorCounter {
        kind: ComponentKind::Receiver,
        name: "otelcol_receiver_accepted",
        description: "Items that the receiver handed to its pipelines",
        read: |counters| counters.emitted.get(),
    },
    CollectorCounter {
        kind: ComponentKind::Receiver,
        name: "otelcol_receiver_refused",
        description: "Inputs that the receiver dropped because its pipelines could not take more",
        read: |counters| counters.dropped_for(reason::QUEUE_FULL),
    },
    CollectorCounter {
        kind: ComponentKind::Exporter,
        name: "otelcol_exporter_sent",
        description: "Items that the backend took",
        read: |counters| counters.emitted.get(),
    },
    CollectorCounter {
        kind: ComponentKind::Exporter,
        name: "otelcol_exporter_send_failed",
        description: "Items that the backend did not get, for whatever reason but a full queue",
        // A zero fill that is left out is no failure: it says nothing that the backend does not know.
        read: |counters| {
            let other = counters.dropped_for(reason::QUEUE_FULL) + counters.dropped_for(reason::ZERO_FILL);
            counters.dropped_total().saturating_sub(other)
        },
    },
    CollectorCounter {
        kind: ComponentKind::Exporter,
        name: "otelcol_exporter_enqueue_failed",
        description: "Items that gave way because the exporter's queue was full",
        read: |counters| counters.dropped_for(reason::QUEUE_FULL),
    },
];

/// A counter of our own, or of the Collector's processors: one metric, the signal in a label.
struct ItemCounter {
    name: &'static str,
    description: &'static str,
    read: fn(&SignalCounters) -> u64,
}

const PROCESSOR_COUNTERS: [ItemCounter; 2] = [
    ItemCounter {
        name: "otelcol_processor_incoming_items",
        description: "Items that came into the processor",
        read: |counters| counters.received.get(),
    },
    ItemCounter {
        name: "otelcol_processor_outgoing_items",
        description: "Items that went out of the processor",
        read: |counters| counters.emitted.get(),
    },
];

const OWN_COUNTERS: [ItemCounter; 3] = [
    ItemCounter {
        name: "hornpipe_received_items",
        description: "Inputs that arrived at the component",
        read: |counters| counters.received.get(),
    },
    ItemCounter {
        name: "hornpipe_passed_items",
        description: "Inputs that are represented in what the component put out",
        read: |counters| counters.passed.get(),
    },
    ItemCounter {
        name: "hornpipe_emitted_items",
        description: "Items that the component put out; of an exporter, items that the backend took",
        read: |counters| counters.emitted.get(),
    },
];

const EXPORTER_COUNTERS: [ItemCounter; 2] = [
    ItemCounter {
        name: "hornpipe_recovered_items",
        description: "Inputs that an earlier process left in the exporter's queue on disk",
        read: |counters| counters.recovered.get(),
    },
    ItemCounter {
        name: "hornpipe_split_items",
        description: "Inputs that became of others, too long for the backend: one that was split into three is two more",
        read: |counters| counters.split.get(),
    },
];

/// Registers instruments for the counters that all components have, and for those of their own as these appear.
pub(super) struct Instruments {
    meter: Meter,
    telemetry: Telemetry,
    levels: Mutex<BTreeSet<&'static str>>,
}

impl Instruments {
    pub(super) fn new(meter: Meter, telemetry: Telemetry) -> Self {
        process::register(&meter);
        register_collector_counters(&meter, &telemetry);
        register_item_counters(&meter, &telemetry);
        let instruments = Instruments { meter, telemetry, levels: Mutex::default() };
        instruments.refresh();
        instruments
    }

    /// Registers the components' own numbers that are new since the last call. (Not in a callback: the SDK holds the
    /// list of instruments locked while it calls back.)
    pub(super) fn refresh(&self) {
        let mut registered = lock(&self.levels);
        for level in self.telemetry.components().iter().flat_map(|component| component.levels()) {
            if registered.insert(level.name) {
                register_level(&self.meter, &self.telemetry, &level);
            }
        }
    }
}

fn register_collector_counters(meter: &Meter, telemetry: &Telemetry) {
    for counter in &COLLECTOR_COUNTERS {
        for signal in Signal::ALL {
            let observe = each(telemetry, move |component, served, observer| {
                if component.identity().kind == counter.kind && served == signal {
                    observer.observe((counter.read)(component.signal(signal)), &[kind_label(component.identity())]);
                }
            });
            meter
                .u64_observable_counter(format!("{}_{}", counter.name, signal.items()))
                .with_unit(unit(signal))
                .with_description(counter.description)
                .with_callback(observe)
                .build();
        }
    }
}

fn register_item_counters(meter: &Meter, telemetry: &Telemetry) {
    for counter in &PROCESSOR_COUNTERS {
        let telemetry = telemetry.clone();
        items_counter(meter, counter.name, counter.description, move |observer| {
            let mut sums = Sums::default();
            for (component, signal) in telemetry.served() {
                if component.identity().kind == ComponentKind::Processor {
                    let labels = vec![kind_label(component.identity()), KeyValue::new("otel_signal", signal.as_str())];
                    sums.add(labels, (counter.read)(component.signal(signal)));
                }
            }
            sums.observe(observer);
        });
    }
    for counter in &OWN_COUNTERS {
        let observe = each(telemetry, |component, signal, observer| {
            observer.observe((counter.read)(component.signal(signal)), &own_labels(component.identity(), signal));
        });
        items_counter(meter, counter.name, counter.description, observe);
    }
    let dropped = each(telemetry, |component, signal, observer| {
        for (reason, items) in component.signal(signal).dropped_by_reason() {
            let mut labels = own_labels(component.identity(), signal);
            labels.push(KeyValue::new("reason", reason));
            observer.observe(items, &labels);
        }
    });
    items_counter(meter, "hornpipe_dropped_items", "Inputs that the component dropped, by reason", dropped);
    for counter in &EXPORTER_COUNTERS {
        let observe = each(telemetry, |component, signal, observer| {
            if component.identity().kind == ComponentKind::Exporter {
                let value = (counter.read)(component.signal(signal));
                observer.observe(value, &own_labels(component.identity(), signal));
            }
        });
        items_counter(meter, counter.name, counter.description, observe);
    }
    let held = each(telemetry, |component, signal, observer| {
        observer.observe(component.signal(signal).held.get(), &own_labels(component.identity(), signal));
    });
    meter
        .u64_observable_gauge("hornpipe_held_items")
        .with_unit("{item}")
        .with_description("Inputs that the component holds now")
        .with_callback(held)
        .build();
}

/// A callback that looks at every component with each signal that it serves.
fn each(
    telemetry: &Telemetry,
    observe: impl Fn(&ComponentTelemetry, Signal, &dyn AsyncInstrument<u64>) + Send + Sync + 'static,
) -> impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static {
    let telemetry = telemetry.clone();
    move |observer| {
        for (component, signal) in telemetry.served() {
            observe(&component, signal, observer);
        }
    }
}

fn items_counter(
    meter: &Meter,
    name: &'static str,
    description: &'static str,
    callback: impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static,
) {
    meter
        .u64_observable_counter(name)
        .with_unit("{item}")
        .with_description(description)
        .with_callback(callback)
        .build();
}

fn register_level(meter: &Meter, telemetry: &Telemetry, level: &Level) {
    let (telemetry, name) = (telemetry.clone(), level.name);
    let callback = move |observer: &dyn AsyncInstrument<u64>| {
        for component in telemetry.components() {
            for level in component.levels().iter().filter(|level| level.name == name) {
                observer.observe(level.value.get(), &level_labels(component.identity()));
            }
        }
    };
    if level.monotonic {
        let builder = meter.u64_observable_counter(name).with_unit(level.unit).with_description(level.description);
        builder.with_callback(callback).build();
    } else {
        let builder = meter.u64_observable_gauge(name).with_unit(level.unit).with_description(level.description);
        builder.with_callback(callback).build();
    }
}

/// Values by labels. A processor of two pipelines has one set of the Collector's labels, and the SDK would keep only
/// the last value of a set.
#[derive(Default)]
struct Sums(Vec<(Vec<KeyValue>, u64)>);

impl Sums {
    fn add(&mut self, labels: Vec<KeyValue>, value: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, sum)) => *sum += value,
            None => self.0.push((labels, value)),
        }
    }

    fn observe(&self, observer: &dyn AsyncInstrument<u64>) {
        for (labels, value) in &self.0 {
            observer.observe(*value, labels);
        }
    }
}

fn unit(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "{datapoint}",
        Signal::Logs => "{record}",
    }
}

/// The Collector's label: `receiver`, `processor` or `exporter`, and the component's id.
fn kind_label(component: &ComponentIdentity) -> KeyValue {
    KeyValue::new(component.kind.as_str(), component.id.clone())
}

fn level_labels(component: &ComponentIdentity) -> Vec<KeyValue> {
    let pipeline = component.pipeline.clone().map(|pipeline| KeyValue::new("pipeline", pipeline));
    [kind_label(component)].into_iter().chain(pipeline).collect()
}

fn own_labels(component: &ComponentIdentity, signal: Signal) -> Vec<KeyValue> {
    let pipeline = component.pipeline.clone().map(|pipeline| KeyValue::new("pipeline", pipeline));
    let labels = [
        KeyValue::new("component_kind", component.kind.as_str()),
        KeyValue::new("component", component.id.clone()),
        KeyValue::new("signal", signal.as_str()),
    ];
    labels.into_iter().chain(pipeline).collect()
}
