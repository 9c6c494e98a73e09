"""Every answer, right and wrong, by name."""

from __future__ import annotations

from tests.answers import (
    right_attention,
    right_classes,
    right_matrices,
    right_notebooks,
    right_python,
    right_styles,
    wrong_matrices,
    wrong_models,
    wrong_subtle,
    wrong_values,
)
from tests.answers.answer import Answer

RIGHT: tuple[Answer, ...] = (
    *right_attention.SOFTMAX_STYLES,
    *right_attention.PRODUCT_STYLES,
    *right_attention.SCALES,
    *right_styles.POSITION_STYLES,
    *right_styles.LAYER_STYLES,
    *right_python.PYTHON_STYLES,
    *right_classes.RIGHT_CLASSES,
    *right_matrices.RIGHT_MATRICES,
    *right_notebooks.RIGHT_NOTEBOOKS,
)
WRONG: tuple[Answer, ...] = (
    *wrong_values.COMPUTE,
    *wrong_values.POSITION,
    *wrong_values.TWO,
    *wrong_models.LAYERS,
    *wrong_models.LOOPS,
    *wrong_models.TRAINING,
    *wrong_models.RETURNS,
    *wrong_models.UNFINISHED,
    *wrong_subtle.SUBTLE,
    *wrong_matrices.WRONG_MATRICES,
)
BY_NAME = {answer.name: answer for answer in (*RIGHT, *WRONG)}
