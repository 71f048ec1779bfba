"""The room that knows Prefect: each flow is a label on a stage. What a stage does stands in `act_core.stages`."""
