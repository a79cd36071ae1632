-- :name count
-- Count reports that are not about our notices.
INSERT INTO reports_not_ours AS counted (slot, reports) VALUES (%(slot)s, %(reports)s)
ON CONFLICT (slot) DO UPDATE SET reports = counted.reports + excluded.reports;
