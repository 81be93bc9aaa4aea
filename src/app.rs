//! The composition root: the only file that starts actors and knows the drain order.
