//! What is built in.

use hornpipe_model::Signal;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use crate::component::{ComponentType, ExporterConfig, ExtensionConfig, ProcessorConfig, ReceiverConfig};
use crate::config::{Diagnostics, Node, NodePath, decode};
use crate::telemetry::ComponentKind;

/// One component type: its names, and how its settings are decoded.
pub struct Entry<C: ?Sized> {
    /// The name in the configuration.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// The signals that it handles.
    pub signals: &'static [Signal],
    /// What it does, in one line.
    pub summary: &'static str,
    /// Decodes settings; problems go to the diagnostics under the given path, and then there is no result.
    pub decode: Box<Decode<C>>,
    /// The settings' JSON schema, with the options' documentation and defaults.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// Decodes the settings under a path; problems go to the diagnostics.
type Decode<C> = dyn Fn(&Node, &str, &mut Diagnostics) -> Option<Box<C>>;

/// The component types that a configuration may name.
#[derive(Default)]
pub struct Registry {
    /// Receivers.
    pub receivers: Vec<Entry<dyn ReceiverConfig>>,
    /// Processors.
    pub processors: Vec<Entry<dyn ProcessorConfig>>,
    /// Exporters.
    pub exporters: Vec<Entry<dyn ExporterConfig>>,
    /// Extensions.
    pub extensions: Vec<Entry<dyn ExtensionConfig>>,
}

/// What the settings of every component are.
pub trait Settings: ComponentType + DeserializeOwned + Default + JsonSchema + 'static {}

impl<T: ComponentType + DeserializeOwned + Default + JsonSchema + 'static> Settings for T {}

impl Registry {
    /// Adds a receiver type.
    #[must_use]
    pub fn receiver<C: Settings + ReceiverConfig>(mut self) -> Self {
        self.receivers.push(entry::<C, dyn ReceiverConfig>(|config| Box::new(config)));
        self
    }

    /// Adds a processor type.
    #[must_use]
    pub fn processor<C: Settings + ProcessorConfig>(mut self) -> Self {
        self.processors.push(entry::<C, dyn ProcessorConfig>(|config| Box::new(config)));
        self
    }

    /// Adds an exporter type.
    #[must_use]
    pub fn exporter<C: Settings + ExporterConfig>(mut self) -> Self {
        self.exporters.push(entry::<C, dyn ExporterConfig>(|config| Box::new(config)));
        self
    }

    /// Adds an extension type.
    #[must_use]
    pub fn extension<C: Settings + ExtensionConfig>(mut self) -> Self {
        self.extensions.push(entry::<C, dyn ExtensionConfig>(|config| Box::new(config)));
        self
    }

    /// Every component type.
    pub fn list(&self) -> Vec<ComponentSummary> {
        fn rows<C: ?Sized>(kind: ComponentKind, entries: &[Entry<C>]) -> impl Iterator<Item = ComponentSummary> {
            entries.iter().map(move |entry| ComponentSummary {
                kind,
                name: entry.name,
                aliases: entry.aliases,
                signals: entry.signals,
                summary: entry.summary,
                schema: entry.schema,
            })
        }
        rows(ComponentKind::Receiver, &self.receivers)
            .chain(rows(ComponentKind::Processor, &self.processors))
            .chain(rows(ComponentKind::Exporter, &self.exporters))
            .chain(rows(ComponentKind::Extension, &self.extensions))
            .collect()
    }
}

/// A component type, for listings.
#[derive(Clone, Debug)]
pub struct ComponentSummary {
    /// Receiver, processor, exporter or extension.
    pub kind: ComponentKind,
    /// The name in the configuration.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// The signals that it handles.
    pub signals: &'static [Signal],
    /// What it does, in one line.
    pub summary: &'static str,
    /// The settings' JSON schema, with the options' documentation and defaults.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// Decodes settings. A key that belongs to the Collector's counterpart gets the component's own advice.
fn settings<C: Settings>(node: &Node, path: &str, found: &mut Diagnostics) -> Option<C> {
    let mut own = Diagnostics::new();
    let config = decode::<C>(node, path, &mut own);
    let base = NodePath::parse(path);
    C::ELSEWHERE.iter().for_each(|(key, advice)| own.advise(&base.key(key), advice));
    found.extend(own);
    config
}

fn entry<C: Settings, D: ?Sized + 'static>(boxed: fn(C) -> Box<D>) -> Entry<D> {
    Entry {
        name: C::TYPE,
        aliases: C::ALIASES,
        signals: C::SIGNALS,
        summary: C::SUMMARY,
        decode: Box::new(move |node, path, found| settings::<C>(node, path, found).map(boxed)),
        schema: SchemaGenerator::subschema_for::<C>,
    }
}
