"""OpenTelemetry: how hotconfig is seen from outside. The only place that imports it, and its API only.

An adapter: the runtime reaches it through :class:`hotconfig.core.observing.Observer`, and wiring makes it at start.
"""
