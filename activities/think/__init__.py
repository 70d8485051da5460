"""The activity `think`: one turn of a run."""
