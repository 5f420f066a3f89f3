"""Scoring many files into one table, and reading such a table back."""

from convlstm_native.scoring.scorer import InputResult, ScoreReport, score_files
from convlstm_native.scoring.summary import ColumnSummary, InputSummary, summarize
from convlstm_native.scoring.table import InputScores, read_scores

__all__ = [
    "ColumnSummary",
    "InputResult",
    "InputScores",
    "InputSummary",
    "ScoreReport",
    "read_scores",
    "score_files",
    "summarize",
]
