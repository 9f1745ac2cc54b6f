"""Random fault schedules against real servers, and the oracle that judges what was seen. See docs/fault-testing.md."""
