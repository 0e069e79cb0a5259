-- v5 -> v6 (compatible with v5+): Fewer indexes to write
-- Nothing looks for rows by room and target: part stands for both, and for the action.
DROP INDEX invitation_target;
-- The inbox is cleaned in the order of seq.
DROP INDEX inbox_handled;
