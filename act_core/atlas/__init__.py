"""The ATLAS application: PanDA, CRIC, translation, heartbeats, validation, final reports."""
