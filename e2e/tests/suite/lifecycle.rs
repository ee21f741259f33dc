//! From apply to delete: the main job (O1, L1, O9).
