"""The page: the same read models and deeds as the commands have, for a browser. It keeps no state of jobs."""
