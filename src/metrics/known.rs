//! Gauges that have no sample while their value is not known, or does not apply: a 0 there would ring alarms.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};

const UNKNOWN: i64 = i64::MIN;

/// A gauge that shows no sample before it is set. Cloning shares the value.
#[derive(Debug, Clone)]
pub struct KnownGauge(Arc<AtomicI64>);

impl Default for KnownGauge {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(UNKNOWN)))
    }
}

impl KnownGauge {
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Sets a bound or a size; one that no gauge can hold is shown as the greatest that can.
    pub fn set_size(&self, value: impl TryInto<i64>) {
        self.set(value.try_into().unwrap_or(i64::MAX));
    }

    pub fn get(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|value| *value != UNKNOWN)
    }
}

impl TypedMetric for KnownGauge {
    const TYPE: MetricType = MetricType::Gauge;
}

impl EncodeMetric for KnownGauge {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        self.get().map_or(Ok(()), |value| encoder.encode_gauge(&value))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
