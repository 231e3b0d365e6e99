"""Small pictures of faces, as the review page shows them."""

from facerec.pipeline.thumbnails import COLUMNS as COLUMNS
from facerec.pipeline.thumbnails import Thumbnails as Thumbnails
