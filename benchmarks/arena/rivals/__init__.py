"""Methods that users of the package don't need: each is a `Clusterer`, so all are tuned and run like the backends."""
