package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// More than any program here needs for a volume of the permitted size.
const commandLimit = 30 * time.Second

func (d *driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.node, AccessibleTopology: d.topology()}, nil
}

func (d *driver) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	var capabilities []*csi.NodeServiceCapability
	for _, t := range []csi.NodeServiceCapability_RPC_Type{
		csi.NodeServiceCapability_RPC_EXPAND_VOLUME,
		csi.NodeServiceCapability_RPC_GET_VOLUME_STATS,
		csi.NodeServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER,
	} {
		rpc := &csi.NodeServiceCapability_RPC{Type: t}
		capabilities = append(capabilities, &csi.NodeServiceCapability{Type: &csi.NodeServiceCapability_Rpc{Rpc: rpc}})
	}
	return &csi.NodeGetCapabilitiesResponse{Capabilities: capabilities}, nil
}

// NodePublishVolume mounts the file. `mount -o loop` marks the device to be freed with the last unmount, so that no
// device outlives the node.
func (d *driver) NodePublishVolume(ctx context.Context, r *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	d.lock.Lock()
	defer d.lock.Unlock()
	path, err := d.existing(r.GetVolumeId())
	if err != nil {
		return nil, err
	}
	if mounted(ctx, r.GetTargetPath()) {
		return &csi.NodePublishVolumeResponse{}, nil
	}
	if err := os.MkdirAll(r.GetTargetPath(), 0o750); err != nil {
		return nil, status.Errorf(codes.Internal, "%v", err)
	}
	options := "loop"
	if r.GetReadonly() {
		options = "loop,ro"
	}
	if _, err := run(ctx, "mount", "-o", options, path, r.GetTargetPath()); err != nil {
		return nil, err
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

func (d *driver) NodeUnpublishVolume(ctx context.Context, r *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	d.lock.Lock()
	defer d.lock.Unlock()
	if mounted(ctx, r.GetTargetPath()) {
		if _, err := run(ctx, "umount", r.GetTargetPath()); err != nil {
			return nil, err
		}
	}
	// Remove, not RemoveAll: if something is still mounted below, its files must not be deleted.
	if err := os.Remove(r.GetTargetPath()); err != nil && !os.IsNotExist(err) {
		return nil, status.Errorf(codes.Internal, "%v", err)
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// NodeExpandVolume grows the mounted file system to the length of the file.
func (d *driver) NodeExpandVolume(ctx context.Context, r *csi.NodeExpandVolumeRequest) (*csi.NodeExpandVolumeResponse, error) {
	d.lock.Lock()
	defer d.lock.Unlock()
	if _, err := d.existing(r.GetVolumeId()); err != nil {
		return nil, err
	}
	mount, err := run(ctx, "findmnt", "-n", "-o", "SOURCE,FSTYPE", "--mountpoint", r.GetVolumePath())
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(mount)
	if len(fields) != 2 {
		return nil, status.Errorf(codes.Internal, "%s: mounted as %q", r.GetVolumePath(), mount)
	}
	device, fs := fields[0], fields[1]
	if _, err := run(ctx, "losetup", "-c", device); err != nil {
		return nil, err
	}
	grow := []string{"xfs_growfs", "-d", r.GetVolumePath()}
	if fs == "ext4" {
		grow = []string{"resize2fs", device}
	}
	if _, err := run(ctx, grow...); err != nil {
		return nil, err
	}
	return &csi.NodeExpandVolumeResponse{CapacityBytes: r.GetCapacityRange().GetRequiredBytes()}, nil
}

func (d *driver) NodeGetVolumeStats(ctx context.Context, r *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	if !mounted(ctx, r.GetVolumePath()) {
		return nil, status.Errorf(codes.NotFound, "%s is not mounted", r.GetVolumePath())
	}
	u, err := usage(r.GetVolumePath())
	return &csi.NodeGetVolumeStatsResponse{Usage: u}, err
}

func mounted(ctx context.Context, path string) bool {
	_, err := run(ctx, "mountpoint", "-q", path)
	return err == nil
}

// run runs a program to completion within a time limit.
func run(ctx context.Context, words ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, words[0], words[1:]...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", status.Errorf(codes.Internal, "%s: %v: %s", strings.Join(words, " "), errors.Join(ctx.Err(), err), stderr.String())
	}
	return stdout.String(), nil
}
