-- The membership store of a cluster in PostgreSQL: the tables, and the queries by which Orleans's ADO.NET provider (10.4) reaches them.
-- Orleans reads the queries from OrleansQuery by their keys and knows nothing else of the schema; names of parameters and result columns are its contract.
-- The script runs as a whole in one transaction, under an advisory lock, each time a silo starts; it must do no harm to what is there.
-- One row of orleanscache_clusters per cluster id carries the version; every change of a member is accepted only if it was made for the present version,
-- and raises it. The queries answer with the number of rows changed, 0 for a change that lost the race.

CREATE TABLE IF NOT EXISTS OrleansQuery
(
    QueryKey varchar(64) NOT NULL PRIMARY KEY,
    QueryText varchar(8000) NOT NULL
);

CREATE TABLE IF NOT EXISTS orleanscache_clusters
(
    cluster_id varchar(150) NOT NULL PRIMARY KEY,
    version integer NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS orleanscache_silos
(
    cluster_id varchar(150) NOT NULL REFERENCES orleanscache_clusters,
    address varchar(45) NOT NULL,
    port integer NOT NULL,
    generation integer NOT NULL,
    silo_name varchar(150) NOT NULL,
    host_name varchar(150) NOT NULL,
    status integer NOT NULL,
    proxy_port integer NULL,
    suspect_times varchar(8000) NULL,
    start_time timestamptz(3) NOT NULL,
    i_am_alive_time timestamptz(3) NOT NULL,
    PRIMARY KEY (cluster_id, address, port, generation)
);

INSERT INTO OrleansQuery (QueryKey, QueryText) VALUES
('UpdateIAmAlivetimeKey', '
    UPDATE orleanscache_silos SET i_am_alive_time = @IAmAliveTime
    WHERE cluster_id = @DeploymentId AND address = @Address AND port = @Port AND generation = @Generation
'),
('InsertMembershipVersionKey', '
    WITH added AS (INSERT INTO orleanscache_clusters (cluster_id) VALUES (@DeploymentId) ON CONFLICT DO NOTHING RETURNING 1)
    SELECT count(*)::integer AS row_count FROM added
'),
('InsertMembershipKey', '
    WITH raised AS (
        UPDATE orleanscache_clusters SET version = version + 1
        WHERE cluster_id = @DeploymentId AND version = @Version
            AND NOT EXISTS (SELECT 1 FROM orleanscache_silos
                WHERE cluster_id = @DeploymentId AND address = @Address AND port = @Port AND generation = @Generation)
        RETURNING cluster_id),
    added AS (
        INSERT INTO orleanscache_silos
            (cluster_id, address, port, generation, silo_name, host_name, status, proxy_port, start_time, i_am_alive_time)
        SELECT cluster_id, @Address, @Port, @Generation, @SiloName, @HostName, @Status, @ProxyPort, @StartTime, @IAmAliveTime FROM raised
        RETURNING 1)
    SELECT count(*)::integer AS row_count FROM added
'),
('UpdateMembershipKey', '
    WITH raised AS (
        UPDATE orleanscache_clusters SET version = version + 1
        WHERE cluster_id = @DeploymentId AND version = @Version
            AND EXISTS (SELECT 1 FROM orleanscache_silos
                WHERE cluster_id = @DeploymentId AND address = @Address AND port = @Port AND generation = @Generation)
        RETURNING cluster_id),
    changed AS (
        UPDATE orleanscache_silos s SET status = @Status, suspect_times = @SuspectTimes, i_am_alive_time = @IAmAliveTime
        FROM raised r
        WHERE s.cluster_id = r.cluster_id AND s.address = @Address AND s.port = @Port AND s.generation = @Generation
        RETURNING 1)
    SELECT count(*)::integer AS row_count FROM changed
'),
('MembershipReadRowKey', '
    SELECT c.cluster_id AS DeploymentId, s.address AS Address, s.port AS Port, s.generation AS Generation, s.silo_name AS SiloName,
        s.host_name AS HostName, s.status AS Status, s.proxy_port AS ProxyPort, s.suspect_times AS SuspectTimes, s.start_time AS StartTime,
        s.i_am_alive_time AS IAmAliveTime, c.version AS Version
    FROM orleanscache_clusters c LEFT JOIN orleanscache_silos s
        ON s.cluster_id = c.cluster_id AND s.address = @Address AND s.port = @Port AND s.generation = @Generation
    WHERE c.cluster_id = @DeploymentId
'),
('MembershipReadAllKey', '
    SELECT c.cluster_id AS DeploymentId, s.address AS Address, s.port AS Port, s.generation AS Generation, s.silo_name AS SiloName,
        s.host_name AS HostName, s.status AS Status, s.proxy_port AS ProxyPort, s.suspect_times AS SuspectTimes, s.start_time AS StartTime,
        s.i_am_alive_time AS IAmAliveTime, c.version AS Version
    FROM orleanscache_clusters c LEFT JOIN orleanscache_silos s ON s.cluster_id = c.cluster_id
    WHERE c.cluster_id = @DeploymentId
'),
('DeleteMembershipTableEntriesKey', '
    WITH gone AS (DELETE FROM orleanscache_silos WHERE cluster_id = @DeploymentId)
    UPDATE orleanscache_clusters SET version = version + 1 WHERE cluster_id = @DeploymentId
'),
('GatewaysQueryKey', '
    SELECT address AS Address, proxy_port AS ProxyPort, generation AS Generation FROM orleanscache_silos
    WHERE cluster_id = @DeploymentId AND status = @Status AND proxy_port > 0
'),
('CleanupDefunctSiloEntriesKey', '
    DELETE FROM orleanscache_silos WHERE cluster_id = @DeploymentId AND i_am_alive_time < @IAmAliveTime AND status <> 3
')
ON CONFLICT (QueryKey) DO NOTHING;
