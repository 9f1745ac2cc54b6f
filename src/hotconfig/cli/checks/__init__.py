"""What ``hotconfig doctor`` looks at: a module per thing that can be wrong, yielding findings, raising nothing."""
