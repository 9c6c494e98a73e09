"""Every answer, right and wrong, by name."""

from __future__ import annotations

from tests.answers import wrong_models as models
from tests.answers.right import RIGHT_MODELS
from tests.answers.right_matrices import RIGHT_MATRICES
from tests.answers.right_notebooks import RIGHT_NOTEBOOKS
from tests.answers.wrong_matrices import WRONG_MATRICES

RIGHT = (*RIGHT_MODELS, *RIGHT_MATRICES, *RIGHT_NOTEBOOKS)
WRONG = (
    *models.VALUE_MODELS,
    *models.LAYER_MODELS,
    *models.LOOP_MODELS,
    *models.TRAINING_MODELS,
    *models.ENDING_MODELS,
    *models.UNFINISHED_MODELS,
    *models.SUBTLE_MODELS,
    *WRONG_MATRICES,
)
BY_NAME = {answer.name: answer for answer in (*RIGHT, *WRONG)}
